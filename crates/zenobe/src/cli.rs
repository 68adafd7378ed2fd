//! The command line. Without a subcommand, `zenobe` serves.

use std::path::PathBuf;

use clap::{
    ArgMatches, Args, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
};

use crate::config::sources::{self, Environment};
use crate::config::{Config, ConfigError, EnvironmentKeys, Settings, Task, default};

const EXAMPLES: &str = "\
Each flag is also an environment variable (ZENOBE_DATA_DIR for --data-dir) and a key of the TOML \
file (data-dir). A flag wins over the environment, the environment over the file; an empty variable is as \
good as none. Access keys come \
from ZENOBE_ACCESS_KEY_ID and ZENOBE_SECRET_ACCESS_KEY, or from [[credentials]] in the file.

Examples:
  zenobe
      On 127.0.0.1:8000, with data in ./zenobe-data; any access key is accepted.
  aws dynamodb list-tables --endpoint-url http://127.0.0.1:8000
      The AWS CLI on it.
  zenobe --in-memory --listen 127.0.0.1:0 --port-file /tmp/zenobe.addr
      For tests: no data on disk, a free port, written to a file.
  zenobe --listen 0.0.0.0:8000 --tls-cert cert.pem --tls-key key.pem --config zenobe.toml
      For others to reach: needs access keys and TLS.

Exit codes: 0 stopped as asked, 1 failed, 2 wrong settings, 3 cannot listen, 4 cannot open the data, \
5 `check` found what does not fit.";

/// A database that speaks the Amazon DynamoDB API.
#[derive(Debug, Parser)]
#[command(name = "zenobe", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Serves the API; the same as no command
    #[command(after_help = EXAMPLES)]
    Serve(ServeArgs),
    /// Reads all data, compares indexes and streams with their tables and says what is damaged or does not fit
    ///
    /// Each item must be readable. Each entry of an index must follow from its item, and be there; a stream's records
    /// must be readable to the end, in order, and the newest of each key must say what the item is.
    ///
    /// Takes the settings of `serve`. Where files keep the data the server must be stopped; a cluster may be
    /// in use. Ends with 0 if all is well, 5 if not, 4 if the data cannot be opened or there is none.
    Check(ServeArgs),
}

/// What `serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A TOML file with settings and access keys
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Reads the command line, and what it does not say from the environment and the file: what to do, and with which
/// settings. Ends the process where the command line asks for help.
pub(crate) fn read() -> Result<(Task, Config), ConfigError> {
    let matches = match command().try_get_matches() {
        Err(help) if !help.use_stderr() => help.exit(),
        matches => matches?,
    };
    let cli = Cli::from_arg_matches(&matches)?;
    let (task, args) = match cli.command {
        Some(Subcommands::Serve(args)) => (Task::Serve, args),
        Some(Subcommands::Check(args)) => (Task::Check, args),
        None => (Task::Serve, cli.serve),
    };
    let given = matches.subcommand().map_or(&matches, |(_, matches)| matches);
    Ok((task, args.config(given, task)?))
}

/// The command line with what the help texts say of every setting.
fn command() -> Command {
    let complete = |command: Command| {
        command.mut_args(|argument| {
            let setting = argument.get_id().as_str();
            let default = default::shown(setting)
                .map(|default| format!("[default: {default}] "))
                .unwrap_or_default();
            let variable = sources::variable_of(setting);
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            argument.help(format!("{help}\n{default}[env: {variable}]"))
        })
    };
    complete(Cli::command()).mut_subcommands(complete)
}

impl ServeArgs {
    /// Brings flags, environment and file together, for a task.
    fn config(self, given: &ArgMatches, task: Task) -> Result<Config, ConfigError> {
        let environment = Environment::read(|setting| given.value_source(setting).is_some())?;
        let file = self.config.or_else(|| sources::variable("ZENOBE_CONFIG").map(PathBuf::from));
        let file = match file {
            Some(path) => Settings::from_file(&path)?,
            None => Settings::default(),
        };
        let settings = self.settings.or(environment.settings.clone()).or(file);
        settings.check(EnvironmentKeys::read()?, task).map_err(|error| environment.name(error))
    }
}
