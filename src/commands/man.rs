//! `man`: one page for the program and its commands; the only `clap_mangen`.

use crate::cli;
use crate::exit::ExitStatus;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::{self, Write};

/// Writes the manual page, in roff.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write(out: &mut dyn Write) -> io::Result<()> {
    let mut command = cli::command();
    command.build();
    let page = Man::new(command.clone()).manual("User Commands");
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        write_command(subcommand.get_name(), &Man::new(subcommand.clone()), out)?;
    }
    write_exit_status(out)?;
    write_environment(out)
}

/// A command is a section, and the sections that clap makes of it are its subsections.
fn write_command(name: &str, page: &Man, out: &mut dyn Write) -> io::Result<()> {
    let mut sections = Vec::new();
    page.render_synopsis_section(&mut sections)?;
    page.render_description_section(&mut sections)?;
    page.render_options_section(&mut sections)?;
    let sections = String::from_utf8_lossy(&sections);
    let subsections: Vec<String> = sections.lines().map(as_subsection).collect();
    let mut heading = Roff::default();
    heading.control("SH", [name.to_uppercase().as_str()]);
    heading.to_writer(out)?;
    writeln!(out, "{}", subsections.join("\n"))
}

fn as_subsection(line: &str) -> String {
    match line.strip_prefix(".SH ") {
        Some(title) => format!(".SS {title}"),
        None => line.into(),
    }
}

fn write_exit_status(out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["EXIT STATUS"]);
    for (_, code, meaning) in ExitStatus::TABLE {
        roff.control("TP", []);
        roff.text([bold(code.to_string())]);
        roff.text([roman(meaning)]);
    }
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

    #[test]
    fn the_page_has_every_command_and_exit_code() {
        let mut page = Vec::new();
        write(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for want in
            [".TH slack", ".SH RUN", ".SH PLAN", ".SS PACE", ".SH \"EXIT STATUS\"", "SLACK_REVOKE_DRY_RUN", "143"]
        {
            assert!(page.contains(want), "{want} is missing");
        }
        assert!(!page.contains("SUBCOMMANDS"));
    }
}
