//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use eyot_kernel::vm::MountConfig;

use crate::backend::options::{self, BackendCommand};
use crate::values::{self, MountPoint, Variable};

#[derive(Debug, Parser)]
#[command(name = "eyot", version, about, long_about = LONG, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const LONG: &str = "\
Runs untrusted WebAssembly, JavaScript and shell programs in a virtual machine inside this process.

A program sees only the VM's own files and what --mount gives it: no host file, socket, process or variable.";

const EXAMPLES: &str = "\
Examples:
  eyot run app.wasm input.txt                      a WASI program (0.1 module or 0.2 component)
  eyot run app.js --mount /data=host:./data:ro     a Node-style script, with a host directory to read
  eyot sh -c 'seq 3 | sort -r'                     the VM's own shell
  eyot exec ls -l /                                a program of the VM
  eyot sh --mount /m=component:memfs.wasm          a mount that a plug-in serves
  eyot sh --mount /m=component:b.wasm,preopen=/data=host:.:ro     one that is granted a directory
  eyot sh --mount /src=overlay:host:.              a host directory; changes stay in memory
  eyot sh --mount /home/user=sqlfs:home.db         files that outlast the VM, in one database
  eyot backend new notes --lang rust               a plug-in of your own

Exit code: the program's own; 128+N when signal N ended it; 124 after --timeout; 126 when it can't be
executed; 127 when it isn't there; 2 for a wrong command line; 1 when the VM can't be set up.

Environment: EYOT_HOME (base image and libraries), EYOT_CACHE (machine code). See `eyot info`.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program of the host: a WebAssembly module or component, or a script
    #[command(after_help = RUN_HELP)]
    Run {
        #[command(flatten)]
        vm: VmOptions,
        /// The program - a file of the host, or a path of the VM below one of the mounts - and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_names = ["PROGRAM", "ARGS"])]
        command: Vec<String>,
    },
    /// Run the VM's shell
    #[command(after_help = SH_HELP)]
    Sh {
        #[command(flatten)]
        vm: VmOptions,
        /// Run this command line instead of reading standard input
        #[arg(short = 'c', value_name = "CMD", allow_hyphen_values = true)]
        command: Option<String>,
        /// A script of the VM and its arguments; with -c: `$0`, `$1`, ...
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a program of the VM, looked for along its PATH
    #[command(after_help = EXEC_HELP)]
    Exec {
        #[command(flatten)]
        vm: VmOptions,
        /// The program - a name, or a path of the VM - and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_names = ["PROGRAM", "ARGS"])]
        command: Vec<String>,
    },
    /// Mount one of Eyot's filesystems on a directory of the host, by FUSE
    #[command(after_help = MOUNT_HELP)]
    Mount {
        /// Serve it to other users, too
        #[arg(long)]
        allow_other: bool,
        /// The filesystem, written as for --mount: memfs, archive:FILE, sqlfs:FILE, component:FILE, host:DIR, overlay:SPEC
        #[arg(value_parser = values::mount_spec)]
        spec: MountConfig,
        /// The directory of the host; what is in it is hidden meanwhile
        point: PathBuf,
    },
    /// Write a filesystem backend: a project to begin with, its test, its speed, what it asks for
    #[command(after_help = options::HELP)]
    Backend {
        #[command(subcommand)]
        command: BackendCommand,
    },
    /// Show where eyot finds its base image, libraries and caches
    Info {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  eyot completions bash > ~/.local/share/bash-completion/completions/eyot")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Make ahead of time what first runs would wait for: machine code, V8's startup snapshot
    #[command(hide = true)]
    Warm {
        /// Only the snapshot
        #[arg(long)]
        snapshot: bool,
    },
}

const RUN_HELP: &str = "\
The program's file is put into the VM read-only as /mnt/program/NAME, and nothing else of the host with it. For a script that
is its directory, so that require('./other') and node_modules work as they do for node; when a package.json lies in a
directory above it (below your home directory), it is that directory.

Examples:
  eyot run hello.wasm
  eyot run count.js /src --mount /src=host:.:ro
  eyot run --timeout 10s --memory 256M untrusted.wasm < input > output";

const SH_HELP: &str = "\
Examples:
  eyot sh                                       interactive
  eyot sh -c 'find /src -name \"*.rs\" | wc -l' --mount /src=host:.:ro
  echo 'echo $((6*7))' | eyot sh";

const EXEC_HELP: &str = "\
Examples:
  eyot exec ls -l /
  eyot exec --mount /src=host:.:ro grep -rn TODO /src";

const MOUNT_HELP: &str = "\
Runs until it is unmounted, or until Ctrl-C.

Examples:
  eyot mount archive:image.tar.zst /mnt/image      an archive, without unpacking it
  eyot mount sqlfs:home.db /mnt/home               files in one SQLite database
  eyot mount component:memfs.wasm /mnt/m           what a plug-in serves
  eyot mount overlay:host:./src /mnt/src           a directory, with changes kept in memory only";

/// What every VM can be given.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "The VM")]
pub struct VmOptions {
    /// Read the VM's mounts, variables and limits from a file, TOML or JSON; the options here go before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Mount something at a directory of the VM: memfs, host:DIR[:ro], component:FILE, archive:FILE, sqlfs:FILE, or overlay:SPEC, which keeps changes in memory;
    /// with ,ro and ,KEY=VALUE for its settings. What a component is granted: ,layer=SPEC and ,preopen=/PATH=SPEC
    #[arg(long = "mount", value_name = "GUEST=SPEC", value_parser = values::mount)]
    pub mounts: Vec<MountPoint>,
    /// Set a variable; a NAME alone passes the host's value on
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = values::variable)]
    pub env: Vec<Variable>,
    /// The directory to start in: /home/user unless told otherwise
    #[arg(long, value_name = "DIR", value_parser = values::absolute)]
    pub cwd: Option<String>,
    /// End everything in the VM after this long: 90, 1.5s, 200ms, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// Memory of all programs together: 512M, 2G, or bytes
    #[arg(long, value_name = "SIZE", value_parser = values::size_bytes)]
    pub memory: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_program_is_the_programs() {
        let cli = Cli::try_parse_from(["eyot", "run", "--cwd", "/tmp", "a.js", "--timeout", "3"]).unwrap();
        let Command::Run { vm, command } = cli.command else { panic!("not run") };
        assert_eq!((vm.cwd.as_deref(), vm.timeout), (Some("/tmp"), None));
        assert_eq!(command, ["a.js", "--timeout", "3"]);
    }

    #[test]
    fn sh_takes_its_options_around_the_command() {
        let cli = Cli::try_parse_from(["eyot", "sh", "-c", "echo hi", "--timeout", "3"]).unwrap();
        let Command::Sh { vm, command, args } = cli.command else { panic!("not sh") };
        assert_eq!((command.as_deref(), vm.timeout), (Some("echo hi"), Some(Duration::from_secs(3))));
        assert!(args.is_empty());
    }

    #[test]
    fn wrong_values_are_refused_with_the_reason() {
        let error = Cli::try_parse_from(["eyot", "sh", "--mount", "/m=ftp:x"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("unknown mount type `ftp`"), "{error}");
    }
}
