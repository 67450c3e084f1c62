//! What `--help` says, for every command.

use crate::support::Fleet;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["up"],
    &["down"],
    &["check"],
    &["status"],
    &["top"],
    &["audit"],
    &["login"],
    &["token"],
    &["token", "create"],
    &["token", "list"],
    &["token", "revoke"],
    &["agents"],
    &["start"],
    &["stop"],
    &["restart"],
    &["enable"],
    &["disable"],
    &["pause"],
    &["resume"],
    &["run"],
    &["logs"],
    &["history"],
    &["events"],
    &["notify"],
    &["queue"],
    &["dlq"],
    &["dlq", "list"],
    &["dlq", "groups"],
    &["dlq", "show"],
    &["dlq", "replay"],
    &["dlq", "replays"],
    &["dlq", "edit"],
    &["dlq", "discard"],
    &["why"],
    &["next"],
    &["simulate"],
    &["optimize"],
    &["report"],
    &["graph"],
    &["config"],
    &["schema"],
    &["reload"],
    &["state"],
    &["state", "check"],
    &["state", "backup"],
    &["state", "restore"],
    &["state", "vacuum"],
    &["request"],
    &["pub"],
    &["sub"],
    &["bus"],
    &["completions"],
    &["man"],
];

#[test]
fn every_command_explains_itself() {
    let fleet = Fleet::new("");
    for command in COMMANDS {
        let help = fleet.ask(&[command, &["--help"][..]].concat());
        assert!(help.contains("Example") || *command == ["dlq"], "{command:?} has no example");
        insta::assert_snapshot!(format!("help_{}", command.join("_")), help);
    }
}

#[test]
fn the_short_help_has_a_line_per_command() {
    insta::assert_snapshot!(Fleet::new("").ask(&["-h"]));
}

#[test]
fn every_command_is_tested_here() {
    let help = Fleet::new("").ask(&["-h"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for line in listed {
        let name = line.split_whitespace().next().unwrap();
        assert!(COMMANDS.iter().any(|command| command.first() == Some(&name)), "{name} is missing");
    }
}

#[test]
fn wrong_use_of_the_command_line_is_64() {
    let fleet = Fleet::new("");
    for args in
        [&["--bogus"][..], &[], &["nonsense"], &["start"], &["graph", "--format", "png"], &["next", "--hours", "0"]]
    {
        assert_eq!(fleet.fail(args).0, 64, "{args:?}");
    }
    assert_eq!(fleet.run(&["--version"]).status.code(), Some(0));
}
