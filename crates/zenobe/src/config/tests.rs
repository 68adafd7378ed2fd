//! The example of the file, `docs/zenobe.toml`: it has every setting, and shows the defaults that hold.

use std::collections::BTreeSet;

use clap::Args as _;

use super::*;

const EXAMPLE: &str = include_str!("../../../../docs/zenobe.toml");

/// The example with all lines that may be wanted.
fn all_lines() -> String {
    let wanted =
        |line: &str| line.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let lines = EXAMPLE.lines().filter_map(|line| line.strip_prefix('#'));
    lines.filter(|line| wanted(line)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_example_is_taken_as_it_is() {
    let settings: Settings = toml::from_str(EXAMPLE).unwrap();
    assert!(settings.check(EnvironmentKeys::default(), Task::Serve).is_ok());
}

#[test]
fn the_example_has_every_setting_and_its_default() {
    let settings: Settings = toml::from_str(&all_lines()).unwrap();
    assert_eq!(settings.credentials.len(), 2);
    assert!(settings.credentials.iter().any(|key| key.session_token.is_some()));

    let table: toml::Table = toml::from_str(&all_lines()).unwrap();
    let shown: BTreeSet<&str> = table.keys().map(String::as_str).collect();
    let command = Settings::augment_args(clap::Command::new("zenobe"));
    let mut known: BTreeSet<&str> = ["cassandra-password", "credentials"].into();
    known.extend(command.get_arguments().filter_map(clap::Arg::get_long));
    assert_eq!(shown, known);

    for argument in command.get_arguments() {
        let Some(expected) = default::shown(argument.get_id().as_str()) else { continue };
        let shown = match &table[argument.get_long().unwrap()] {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            other => panic!("{other:?} is not shown by --help"),
        };
        // Of what is long, the default is told in hours, too.
        assert_eq!(shown, expected.split(',').next().unwrap());
    }
}

#[test]
fn the_parts_of_the_example_work_together() {
    let without = |names: &[&str]| {
        let kept = |line: &&str| !names.iter().any(|name| line.starts_with(name));
        let text: String =
            all_lines().lines().filter(kept).map(|line| format!("{line}\n")).collect();
        let settings: Settings = toml::from_str(&text).unwrap();
        settings.check(EnvironmentKeys::default(), Task::Serve)
    };
    // An interval has no place beside fsync, nor a cluster beside files.
    let config = without(&["durability-interval-ms", "cassandra-"]).unwrap();
    assert_eq!(config.credentials.len(), 2);
    assert!(matches!(config.storage, Storage::Files(_)));
    assert!(without(&["cassandra-"]).is_err());
}
