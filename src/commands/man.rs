//! `man`: pages for the program and its commands; the only `clap_mangen`.

use crate::cli::{self, help_text};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::io::{self, Write};

/// Writes a page in roff: that of a command, or that of the program, which lists the commands.
///
/// # Errors
/// If `out` can't be written, or there is no such command.
pub fn write(about: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let mut program = cli::command().subcommand_help_heading("COMMANDS");
    program.build();
    let (name, command, guide) = match about {
        None => ("slack-revoke".to_owned(), &program, Some(help_text::of_program())),
        Some(name) => {
            let command =
                program.find_subcommand(name).ok_or_else(|| io::Error::other(format!("no command {name}")))?;
            (format!("slack-revoke-{name}"), command, help_text::of_command(name))
        }
    };
    // `clap_mangen` leaves out the quotes of an empty date, and the version is taken for one.
    writeln!(out, ".TH {name} 1 \"\" \"slack-revoke {}\" \"User Commands\"", env!("CARGO_PKG_VERSION"))?;
    Man::new(command.clone()).render_name_section(out)?;
    out.write_all(sections(command)?.as_bytes())?;
    if about.is_none() {
        Man::new(program.clone()).render_subcommands_section(out)?;
    }
    let mut end = Roff::default();
    if let Some(guide) = guide {
        examples(&guide, &mut end);
        exit_status(&guide, &mut end);
    }
    environment(&mut end);
    see_also(&program, about, &mut end);
    end.to_writer(out)
}

fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| command.get_name() != "help")
}

/// Synopsis, description and flags. The synopsis is that of the help: a list of all flags would be longer than their description.
fn sections(command: &Command) -> io::Result<String> {
    let usage = command.clone().render_usage().to_string();
    let page = Man::new(command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned()));
    let mut sections = Vec::new();
    page.render_synopsis_section(&mut sections)?;
    page.render_description_section(&mut sections)?;
    page.render_options_section(&mut sections)?;
    String::from_utf8(sections).map_err(io::Error::other)
}

/// Each task, and its command line.
fn examples(guide: &help_text::Guide, page: &mut Roff) {
    page.control("SH", ["EXAMPLES"]);
    for (task, line) in guide.examples {
        page.control("TP", []).text([roman(*task)]).control("nf", []).text([bold(*line)]).control("fi", []);
    }
}

fn exit_status(guide: &help_text::Guide, page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in &guide.exits {
        page.control("TP", []).text([bold(code.to_string())]).text([roman(*meaning)]);
    }
}

fn see_also(program: &Command, about: Option<&str>, page: &mut Roff) {
    let others = commands(program).map(Command::get_name).filter(|name| Some(*name) != about);
    let pages = others.map(|name| format!("slack-revoke-{name}(1)"));
    let pages: Vec<String> = about.map(|_| "slack-revoke(1)".to_owned()).into_iter().chain(pages).collect();
    page.control("SH", ["SEE ALSO"]).text([italic(pages.join(", "))]);
}

fn environment(page: &mut Roff) {
    page.control("SH", ["ENVIRONMENT"]);
    for (names, meaning) in help_text::VARIABLES {
        page.control("TP", []).text([bold(names)]).text([roman(meaning)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(about: Option<&str>) -> String {
        let mut page = Vec::new();
        write(about, &mut page).unwrap();
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn the_page_has_every_command_and_exit_code() {
        let page = page(None);
        for want in [
            ".TH slack-revoke 1 \"\" \"slack-revoke ",
            ".SH COMMANDS",
            "slack\\-revoke\\-run(1)",
            "slack\\-revoke\\-plan(1)",
            ".SH EXAMPLES",
            ".SH \"EXIT STATUS\"",
            "SLACK_REVOKE_",
            "143",
        ] {
            assert!(page.contains(want), "{want} is missing");
        }
        assert!(!page.contains("SUBCOMMANDS"));
    }

    #[test]
    fn every_command_has_a_page_of_its_own() {
        let program = cli::command();
        for command in commands(&program) {
            let (name, page) = (command.get_name(), page(Some(command.get_name())));
            let flags = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(clap::Arg::get_long);
            for want in flags.map(|flag| flag.replace('-', "\\-")).chain([format!(".TH slack-revoke-{name} 1")]) {
                assert!(page.contains(&want), "{name}: {want} is missing");
            }
            let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
            for want in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "\"EXIT STATUS\"", "\"SEE ALSO\""] {
                assert!(sections.contains(&want), "{name}: {want} is missing");
            }
        }
        assert!(write(Some("frobnicate"), &mut Vec::new()).is_err());
    }
}
