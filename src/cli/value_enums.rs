//! Flags whose value is one of a few words. The comments of the variants are the help.

use crate::model::{BucketPolicy, Identify, LogFormat, Priority, SessionKind};
use clap::ValueEnum;
use clap::builder::PossibleValue;

/// Derives clap's `ValueEnum` for a type of the model, which knows no clap. The value in the end can't be typed.
macro_rules! value_enum {
    ($type:ident { $($value:ident = $word:literal: $help:literal,)+ } $($untyped:ident)?) => {
        impl ValueEnum for $type {
            fn value_variants<'a>() -> &'a [Self] {
                &[$(Self::$value),+]
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                match self {
                    $(Self::$value => Some(PossibleValue::new($word).help($help)),)+
                    $(Self::$untyped => None,)?
                }
            }
        }
    };
}

value_enum!(LogFormat {
    Text = "text": "For people",
    Json = "json": "One JSON object per line",
});

value_enum!(SessionKind {
    Web = "web": "Web sessions only",
    Mobile = "mobile": "Mobile sessions only",
});

value_enum!(BucketPolicy {
    Auto = "auto": "Detect",
    Org = "org": "One limit for the token",
    Team = "team": "One limit per workspace",
});

value_enum!(Priority {
    Normal = "normal": "Share the limit",
    Incident = "incident": "Go first",
});

value_enum!(Identify {
    Auto = "auto": "user_id if the row has one, else team_id",
    User = "user": "Always user_id",
    Team = "team": "Always team_id",
});

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar on a terminal, plain lines otherwise
    Auto,
    /// A bar; plain lines if there is no terminal
    Bar,
    /// A line about every 10s
    Plain,
    /// No progress
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Even in files and pipes
    Always,
    /// No color
    Never,
}

/// The shells that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// elvish
    Elvish,
    /// fish
    Fish,
    /// PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// zsh
    Zsh,
}
