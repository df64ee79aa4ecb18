//! `sh` and `bash` of the base image: brush's engine with a start of its own, which parses its few options by hand, reads no
//! configuration file unless it is a login shell, and runs everything on the guest's one thread.

mod options;

use std::io::{IsTerminal, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::path::Path;
use std::process::ExitCode;

use brush_builtins::ShellBuilderExt;
use brush_core::{ExecutionControlFlow, ProfileLoadBehavior, RcLoadBehavior, SourceInfo};
use brush_parser::ParseError;

use options::{Options, Source};

type Extensions = brush_core::extensions::ShellExtensionsImpl<Errors>;
type Shell = brush_core::Shell<Extensions>;

/// Errors carry the shell's name, as every shell's do.
#[derive(Clone, Default)]
struct Errors;

impl brush_core::extensions::ErrorFormatter for Errors {
    fn format_error(
        &self,
        error: &brush_core::error::Error,
        shell: &brush_core::Shell<impl brush_core::ShellExtensions>,
    ) -> String {
        let name = shell.current_shell_name().map_or_else(|| "sh".to_owned(), |name| name.to_string());
        match error.kind() {
            brush_core::ErrorKind::CommandNotFound(command) => format!("{name}: {command}: command not found\n"),
            _ => format!("{name}: {error:#}\n"),
        }
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    ignore_broken_pipes();
    let options = match options::parse(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned())) {
        Ok(options) => options,
        Err(options::Stop::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(options::Stop::Version) => {
            println!("Eyot sh {VERSION} (brush-core {})", options::BRUSH_VERSION);
            return ExitCode::SUCCESS;
        }
        Err(options::Stop::Wrong(message)) => {
            eprintln!("sh: {message}");
            return ExitCode::from(2);
        }
    };
    // The hook is all there is of a reactor: see `eyot_guest`.
    let runtime = tokio::runtime::Builder::new_current_thread().on_thread_park(eyot_guest::park).build();
    let code = match runtime {
        Ok(runtime) => runtime.block_on(run(options)),
        Err(error) => {
            eprintln!("sh: can't start: {error}");
            1
        }
    };
    // Leave without dropping what is about to vanish: destructors cost more than the exit.
    let _ = std::io::stdout().flush();
    std::process::exit(i32::from(code));
}

/// A builtin that writes to a pipe without readers fails; the shell itself lives on.
fn ignore_broken_pipes() {
    const SIGPIPE: u32 = 13;
    const IGNORE: u32 = 1;
    #[link(wasm_import_module = "eyot:kernel/signal@0.1.0")]
    unsafe extern "C" {
        #[link_name = "set-disposition"]
        fn set_disposition(signal: u32, to: u32, before: *mut u32) -> u32;
    }
    let mut before = 0;
    // SAFETY: the call writes four bytes to `before`, which lives across it. (It cannot fail for SIGPIPE.)
    unsafe { set_disposition(SIGPIPE, IGNORE, &mut before) };
}

async fn run(options: Options) -> u8 {
    let code = match start(options).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sh: {error}");
            1
        }
    };
    eyot_guest::drain().await;
    code
}

async fn start(options: Options) -> Result<u8, brush_core::Error> {
    let interactive = options.interactive
        || (matches!(options.source, Source::Stdin)
            && std::io::stdin().is_terminal()
            && std::io::stderr().is_terminal());
    let mut shell = brush_core::Shell::builder_with_extensions::<Extensions>()
        .enable_options(options.enabled)
        .disable_options(options.disabled)
        .enable_shopt_options(options.shopt_enabled)
        .disable_shopt_options(options.shopt_disabled)
        .interactive(interactive)
        .login(options.login)
        .posix(options.posix)
        .no_editing(true)
        .profile(ProfileLoadBehavior::Skip)
        .rc(RcLoadBehavior::Skip)
        .command_string_mode(matches!(options.source, Source::Command(_)))
        .read_commands_from_stdin(matches!(options.source, Source::Stdin))
        .shell_name(options.name)
        .shell_args(options.args.clone())
        .shell_version(options::BRUSH_VERSION.to_owned())
        .default_builtins(brush_builtins::BuiltinSet::BashMode)
        .build()
        .await?;
    if options.login && !options.no_profile {
        shell.load_config(&ProfileLoadBehavior::LoadDefault, &RcLoadBehavior::Skip).await?;
    }
    match options.source {
        Source::Command(text) => {
            shell.run_dash_c_command(text).await?;
        }
        Source::Script(path) => {
            if let Err(error) = shell.run_script(Path::new(&path), options.args.iter().cloned()).await {
                eprintln!("sh: {error}");
                return Ok(127);
            }
        }
        Source::Stdin => run_stdin(&mut shell, interactive).await?,
    }
    Ok(shell.last_exit_status())
}

/// Reads commands from descriptor 0 and runs each as soon as it is complete.
async fn run_stdin(shell: &mut Shell, interactive: bool) -> Result<(), brush_core::Error> {
    let source = SourceInfo::from("stdin");
    let mut text = String::new();
    loop {
        if interactive {
            let prompt = if text.is_empty() { shell.compose_prompt().await? } else { "> ".to_owned() };
            eprint!("{prompt}");
        }
        let ended = !read_line(&mut text, interactive)?;
        if text.is_empty() && ended {
            break;
        }
        if !ended && is_incomplete(&shell.parse_string(text.clone())) {
            continue;
        }
        let params = shell.default_exec_params();
        let result = shell.run_string(std::mem::take(&mut text), &source, &params).await?;
        if ended || matches!(result.next_control_flow, ExecutionControlFlow::ExitShell) {
            break;
        }
    }
    let _ = shell.on_exit().await;
    Ok(())
}

fn is_incomplete<T>(parsed: &Result<T, ParseError>) -> bool {
    match parsed {
        Err(ParseError::ParsingAtEndOfInput) => true,
        Err(ParseError::Tokenizing { inner, .. }) => inner.is_incomplete(),
        _ => false,
    }
}

/// Appends a line; answers false at the end of input. Commands that are run read the same input, so no byte after the
/// line may be taken: a terminal hands out a line at a time, everything else is read byte by byte.
fn read_line(text: &mut String, terminal: bool) -> std::io::Result<bool> {
    // SAFETY: descriptor 0 stays open, and is not closed by this handle.
    let mut stdin = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(0) });
    let mut line = Vec::new();
    let mut block = [0; 4096];
    let step = if terminal { block.len() } else { 1 };
    while line.last() != Some(&b'\n') {
        match stdin.read(&mut block[..step]) {
            Ok(0) => {
                text.push_str(&String::from_utf8_lossy(&line));
                return Ok(false);
            }
            Ok(count) => line.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    text.push_str(&String::from_utf8_lossy(&line));
    Ok(true)
}
