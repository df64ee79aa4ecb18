//! uutils grep.

use std::process::exit;

fn main() {
    if let Err(error) = uucore::locale::setup_localization("grep") {
        eprintln!("grep: can't read the built-in messages: {error}");
        exit(99);
    }
    exit(uu_grep::uumain(uucore::args_os()));
}
