//! Every command explains itself.

use std::process::Command;

use wharf_test_support::require;

use crate::server::wharf;
use crate::support::{checked, run};

/// Subcommands that the help of `command` lists.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| line.starts_with("  "))
        // A line that goes on with the description of the one before is indented further.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Calls `visit` with each command's words and its help.
fn walk(words: &mut Vec<String>, visit: &mut impl FnMut(&[String], &str)) {
    let help = checked(wharf().args(&*words).arg("--help"));
    visit(words, &help);
    for name in subcommands(&help) {
        words.push(name);
        walk(words, visit);
        words.pop();
    }
}

/// Every command that is no family of others, as words. A family that is a command itself counts too.
pub(crate) fn leaves() -> Vec<String> {
    let mut leaves = Vec::new();
    walk(&mut Vec::new(), &mut |words, help| {
        let is_family = help.contains("\nCommands:\n");
        // `Usage: wharf deploy [OPTIONS] [DIR]` beside `wharf deploy <COMMAND>`: both are there.
        let usages =
            help.lines().skip_while(|line| !line.starts_with("Usage:")).take_while(|line| !line.is_empty());
        if !is_family || usages.into_iter().any(|line| !line.contains("<COMMAND>")) {
            leaves.push(words.join(" "));
        }
    });
    leaves.retain(|words| !words.is_empty());
    leaves
}

#[test]
fn every_command_has_help_with_an_example() {
    let mut seen = Vec::new();
    walk(&mut Vec::new(), &mut |words, help| {
        let command = words.join(" ");
        assert!(help.contains("Usage: wharf"), "{command}: {help}");
        assert!(help.contains("Example"), "`wharf {command} --help` has no example:\n{help}");
        let example = if command.is_empty() { "wharf ".to_owned() } else { format!("wharf {}", words[0]) };
        let examples = help.split("Example").nth(1).unwrap_or_default();
        assert!(examples.contains(&example), "the example of `{command}` is another command's:\n{examples}");
        assert!(!help.contains('\x1b'), "{command}");
        let (_, global) = help.split_once("Global options:").unwrap_or_else(|| panic!("{command}: {help}"));
        assert!(global.contains("--server") && global.contains("--data"), "{command}: {help}");
        seen.push(command);
    });
    for command in [
        "up",
        "deploy",
        "deploy abort",
        "host drain",
        "lab ssh",
        "registry ls",
        "config schema",
        "logs tail",
        "exec",
        "restart",
        "run",
        "token create",
    ] {
        assert!(seen.iter().any(|seen| seen == command), "{command} is not among {seen:?}");
    }
}

#[test]
fn the_version_is_printed() {
    let version = checked(wharf().arg("--version"));
    assert_eq!(version, format!("wharf {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        checked(wharf().args(["deploy", "--version"])).split(' ').next_back(),
        version.split(' ').next_back()
    );
}

#[test]
fn completions_are_understood_by_their_shells() {
    let directory = wharf_test_support::temp_dir();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = checked(wharf().args(["completions", shell]));
        assert!(script.contains("deploy") && script.contains("output"), "{shell}: {script}");
        let file = directory.path().join(shell);
        std::fs::write(&file, script).unwrap();
        if wharf_test_support::find_command(shell).is_some() {
            checked(Command::new(shell).arg(check).arg(&file));
        }
    }
}

#[test]
fn every_command_has_a_man_page() {
    let directory = wharf_test_support::temp_dir();
    let pages = directory.path().join("man1");
    checked(wharf().arg("man").arg(&pages));
    let page = |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
    walk(&mut Vec::new(), &mut |words, _| {
        let page = page(&[&["wharf".to_owned()], words].concat().join("-"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Example"), "{words:?}: {page}");
    });
    assert!(page("wharf-host-drain").contains("Let it take containers again"));
    assert!(!pages.join("wharf-lab-init.1").exists(), "what is hidden has none");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    run(wharf().arg("man").arg(file.join("man1"))).expect(1).says("cannot make");
}

#[test]
fn bash_completes_commands_and_options() {
    require!(Command("bash"));
    let directory = wharf_test_support::temp_dir();
    let file = directory.path().join("wharf.bash");
    std::fs::write(&file, checked(wharf().args(["completions", "bash"]))).unwrap();
    let script = format!(
        "source {}; COMP_WORDS=(wharf host dr); COMP_CWORD=2; _wharf wharf dr host; echo ${{COMPREPLY[@]}}",
        file.display()
    );
    assert_eq!(checked(Command::new("bash").args(["-c", &script])), "drain");
}

#[test]
fn help_of_an_unknown_command_is_wrong_usage() {
    run(wharf().args(["help", "deplyo"])).expect(2).says("deplyo");
}
