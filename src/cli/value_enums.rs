//! Flags that take one of a few words.

use crate::model::{BucketPolicy, Identify, LogFormat};
use clap::ValueEnum;
use clap::builder::PossibleValue;

/// The words of a type of the model, which knows no clap. A value without a word is none that can be typed.
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
    Json = "json": "One JSON object a line",
});

value_enum!(BucketPolicy {
    Auto = "auto": "Find out",
    Org = "org": "One limit for the token",
    Team = "team": "One limit for each workspace",
});

value_enum!(Identify {
    Auto = "auto": "user_id where the row has it, else team_id",
    User = "user": "Always user_id",
    Team = "team": "Always team_id",
} WholeUsers);

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar on a terminal, plain lines elsewhere
    Auto,
    /// A bar; lines where there is no terminal
    Bar,
    /// A line about every 10 s
    Plain,
    /// Nothing
    None,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Even into a file
    Always,
    /// Not at all
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
