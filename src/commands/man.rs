//! `man`: pages for the program and its commands; the only `clap_mangen`.

use crate::cli::{self, help_text};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use std::io::{self, Write};

/// Writes a page in roff: that of a command, or else that of the program with all of its commands.
///
/// # Errors
/// Where `out` cannot be written, and where there is no such command.
pub fn write(about: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let mut program = cli::command();
    program.build();
    match about {
        None => write_program(&program, out)?,
        Some(name) => {
            let command =
                program.find_subcommand(name).ok_or_else(|| io::Error::other(format!("no command {name}")))?;
            write_command(command, out)?;
        }
    }
    write_environment(out)?;
    write_see_also(&program, about, out)
}

fn write_program(program: &Command, out: &mut dyn Write) -> io::Result<()> {
    write_head("slack-revoke", program, out)?;
    write_synopsis("SH", program, out)?;
    write_sections(program, false, out)?;
    for command in commands(program) {
        heading("SH", &command.get_name().to_uppercase(), out)?;
        write_synopsis("SS", command, out)?;
        write_sections(command, true, out)?;
        if let Some(guide) = help_text::of_command(command.get_name()) {
            write_examples("SS", &guide, out)?;
        }
    }
    write_examples("SH", &help_text::of_program(), out)?;
    write_exit_status(&help_text::of_program(), out)
}

fn write_command(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    write_head(&format!("slack-revoke-{}", command.get_name()), command, out)?;
    write_synopsis("SH", command, out)?;
    write_sections(command, false, out)?;
    let Some(guide) = help_text::of_command(command.get_name()) else { return Ok(()) };
    write_examples("SH", &guide, out)?;
    write_exit_status(&guide, out)
}

fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| command.get_name() != "help")
}

/// The title and the name. `clap_mangen` leaves out the quotes of an empty date, and the version is taken for one.
fn write_head(name: &str, command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, ".TH {name} 1 \"\" \"slack-revoke {version}\" \"User Commands\"")?;
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    heading("SH", "NAME", out)?;
    text([roman(format!("{name} - {about}"))], out)
}

/// As the help has it: a list of all flags would be longer than their description.
fn write_synopsis(level: &str, command: &Command, out: &mut dyn Write) -> io::Result<()> {
    heading(level, "SYNOPSIS", out)?;
    let usage = command.clone().render_usage().to_string();
    text([bold(usage.trim_start_matches("Usage: "))], out)
}

/// The description and the flags. As a part of a page, the sections that clap makes are subsections.
fn write_sections(command: &Command, as_part: bool, out: &mut dyn Write) -> io::Result<()> {
    let (page, mut sections) = (Man::new(command.clone()), Vec::new());
    page.render_description_section(&mut sections)?;
    page.render_options_section(&mut sections)?;
    let sections = String::from_utf8_lossy(&sections);
    let mut lines = sections.lines().peekable();
    let mut blank = false;
    while let Some(line) = lines.next() {
        // Before a list of values there are breaks around an empty line, which do nothing.
        let is_break = line == ".br" && (blank || lines.peek().is_some_and(|next| next.is_empty()));
        blank = line.is_empty();
        match line.strip_prefix(".SH ") {
            _ if is_break => {}
            Some(title) if as_part => writeln!(out, ".SS {title}")?,
            Some(_) | None => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

/// Each task, and the line that does it as it is typed.
fn write_examples(level: &str, guide: &help_text::Guide, out: &mut dyn Write) -> io::Result<()> {
    heading(level, "EXAMPLES", out)?;
    for (task, line) in guide.examples {
        let mut roff = Roff::default();
        roff.control("TP", []).text([roman(*task)]).control("nf", []).text([bold(*line)]).control("fi", []);
        roff.to_writer(out)?;
    }
    Ok(())
}

fn write_exit_status(guide: &help_text::Guide, out: &mut dyn Write) -> io::Result<()> {
    heading("SH", "EXIT STATUS", out)?;
    for (code, meaning) in &guide.exits {
        let mut roff = Roff::default();
        roff.control("TP", []).text([bold(code.to_string())]).text([roman(*meaning)]);
        roff.to_writer(out)?;
    }
    Ok(())
}

fn write_see_also(program: &Command, about: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    heading("SH", "SEE ALSO", out)?;
    let others = commands(program).map(Command::get_name).filter(|name| Some(*name) != about);
    let pages = others.map(|name| format!("slack-revoke-{name}(1)"));
    let pages: Vec<String> = about.map(|_| "slack-revoke(1)".to_owned()).into_iter().chain(pages).collect();
    text([italic(pages.join(", "))], out)
}

fn heading(level: &str, title: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control(level, [title]);
    roff.to_writer(out)
}

fn text<const N: usize>(inlines: [Inline; N], out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.text(inlines);
    roff.to_writer(out)
}

fn write_environment(out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["ENVIRONMENT"]);
    for (names, meaning) in [
        ("SLACK_TOKEN", "the token, where neither --token-file nor --token-command is given"),
        (
            "SLACK_REVOKE_*",
            "every flag has a variable of its name, as SLACK_REVOKE_MAX_FAILURES; what is typed goes first",
        ),
        ("SLACK_REVOKE_LOG", "a filter of log lines, as debug, in the place of -q and -v"),
        ("CREDENTIALS_DIRECTORY", "where systemd keeps the credential slack-token"),
        ("HTTPS_PROXY, ALL_PROXY, NO_PROXY", "the proxy that calls go through, and the hosts that need none"),
        ("NO_COLOR", "no colours, unless --color asks for them"),
    ] {
        roff.control("TP", []);
        roff.text([bold(names)]);
        roff.text([roman(meaning)]);
    }
    roff.to_writer(out)
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
            ".SH RUN",
            ".SH PLAN",
            ".SS PACE",
            ".SS EXAMPLES",
            ".SH \"EXIT STATUS\"",
            "SLACK_REVOKE_DRY_RUN",
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
