//! uutils findutils as one program: `find` and `xargs`, by `argv[0]`.

use std::path::Path;
use std::process::exit;

fn main() {
    let args: Result<Vec<String>, _> = std::env::args_os().map(|arg| arg.into_string()).collect();
    let args = args.unwrap_or_else(|arg| {
        eprintln!("find: an argument is not valid UTF-8: {}", arg.display());
        exit(1);
    });
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let name = args.first().and_then(|arg| Path::new(arg).file_name()).and_then(|name| name.to_str());
    exit(match name {
        Some("xargs") => findutils::xargs::xargs_main(&args),
        _ => findutils::find::find_main(&args, &findutils::find::StandardDependencies::new()),
    });
}
