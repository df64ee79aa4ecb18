//! Development harness: `dev ARTEFACT SCRIPT`.
fn main() {
    let mut args = std::env::args().skip(1);
    let artefact = eyot_executor_v8::Artefact::open(std::path::Path::new(&args.next().unwrap())).unwrap();
    let mut argv = vec!["node".to_string()];
    argv.extend(args);
    match eyot_executor_v8::dev_run(artefact, argv) {
        Ok(code) => std::process::exit(code),
        Err(e) => { eprintln!("{e}"); std::process::exit(99) }
    }
}
