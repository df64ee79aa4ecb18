//! uutils coreutils as one program that goes by many names: `argv[0]` says which, or the first argument does when it is
//! started as `coreutils`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::exit;

type Main = fn(std::vec::IntoIter<OsString>) -> i32;

/// Every name, in order, and what it starts.
const UTILITIES: &[(&str, Main)] = &[
    ("[", uu_test::uumain),
    ("arch", uu_arch::uumain),
    ("b2sum", uu_b2sum::uumain),
    ("base32", uu_base32::uumain),
    ("base64", uu_base64::uumain),
    ("basename", uu_basename::uumain),
    ("basenc", uu_basenc::uumain),
    ("cat", uu_cat::uumain),
    ("cksum", uu_cksum::uumain),
    ("comm", uu_comm::uumain),
    ("cp", uu_cp::uumain),
    ("csplit", uu_csplit::uumain),
    ("cut", uu_cut::uumain),
    ("date", uu_date::uumain),
    ("dd", uu_dd::uumain),
    ("dir", uu_dir::uumain),
    ("dircolors", uu_dircolors::uumain),
    ("dirname", uu_dirname::uumain),
    ("echo", uu_echo::uumain),
    ("env", uu_env::uumain),
    ("expand", uu_expand::uumain),
    ("expr", uu_expr::uumain),
    ("factor", uu_factor::uumain),
    ("false", uu_false::uumain),
    ("fmt", uu_fmt::uumain),
    ("fold", uu_fold::uumain),
    ("head", uu_head::uumain),
    ("hostid", uu_hostid::uumain),
    ("join", uu_join::uumain),
    ("link", uu_link::uumain),
    ("ln", uu_ln::uumain),
    ("ls", uu_ls::uumain),
    ("md5sum", uu_md5sum::uumain),
    ("mkdir", uu_mkdir::uumain),
    ("mktemp", uu_mktemp::uumain),
    ("mv", uu_mv::uumain),
    ("nice", uu_nice::uumain),
    ("nl", uu_nl::uumain),
    ("nproc", uu_nproc::uumain),
    ("numfmt", uu_numfmt::uumain),
    ("od", uu_od::uumain),
    ("paste", uu_paste::uumain),
    ("pathchk", uu_pathchk::uumain),
    ("pr", uu_pr::uumain),
    ("printenv", uu_printenv::uumain),
    ("printf", uu_printf::uumain),
    ("ptx", uu_ptx::uumain),
    ("pwd", uu_pwd::uumain),
    ("readlink", uu_readlink::uumain),
    ("realpath", uu_realpath::uumain),
    ("rm", uu_rm::uumain),
    ("rmdir", uu_rmdir::uumain),
    ("seq", uu_seq::uumain),
    ("sha1sum", uu_sha1sum::uumain),
    ("sha224sum", uu_sha224sum::uumain),
    ("sha256sum", uu_sha256sum::uumain),
    ("sha384sum", uu_sha384sum::uumain),
    ("sha512sum", uu_sha512sum::uumain),
    ("shred", uu_shred::uumain),
    ("shuf", uu_shuf::uumain),
    ("sleep", uu_sleep::uumain),
    ("sort", uu_sort::uumain),
    ("split", uu_split::uumain),
    ("sum", uu_sum::uumain),
    ("tac", uu_tac::uumain),
    ("tail", uu_tail::uumain),
    ("tee", uu_tee::uumain),
    ("test", uu_test::uumain),
    ("touch", uu_touch::uumain),
    ("tr", uu_tr::uumain),
    ("true", uu_true::uumain),
    ("truncate", uu_truncate::uumain),
    ("tsort", uu_tsort::uumain),
    ("tty", uu_tty::uumain),
    ("uname", uu_uname::uumain),
    ("unexpand", uu_unexpand::uumain),
    ("uniq", uu_uniq::uumain),
    ("unlink", uu_unlink::uumain),
    ("vdir", uu_vdir::uumain),
    ("wc", uu_wc::uumain),
    ("yes", uu_yes::uumain),
];

fn main() {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let called = args.first().map_or_else(String::new, |arg| file_name(arg));
    let name = if called == "coreutils" {
        if args.len() < 2 {
            list();
            exit(0);
        }
        uucore::set_utility_is_second_arg();
        args.remove(0);
        args[0].to_string_lossy().into_owned()
    } else {
        called
    };
    if name == "--list" {
        list();
        exit(0);
    }
    // The two that loops call most have nothing to say, so they need no messages.
    match (args.len(), name.as_str()) {
        (1, "true") => exit(0),
        (1, "false") => exit(1),
        _ => {}
    }
    let Ok(index) = UTILITIES.binary_search_by(|(candidate, _)| (*candidate).cmp(&name)) else {
        eprintln!("coreutils: no utility is called '{name}'");
        exit(127);
    };
    let canonical = match name.as_str() {
        "[" => "test",
        "dir" | "vdir" => "ls",
        other => other,
    };
    if let Err(error) = uucore::locale::setup_localization(canonical) {
        eprintln!("{name}: can't read the built-in messages: {error}");
        exit(99);
    }
    let code = UTILITIES[index].1(args.into_iter());
    // A utility leaves its last block of output in the buffer; a broken pipe there is the reader's choice.
    let _ = std::io::stdout().flush();
    exit(code);
}

fn file_name(arg: &OsStr) -> String {
    Path::new(arg).file_name().unwrap_or(arg).to_string_lossy().into_owned()
}

fn list() {
    let names: Vec<&str> = UTILITIES.iter().map(|(name, _)| *name).collect();
    // Whoever reads the list may stop early.
    let _ = writeln!(std::io::stdout(), "{}", names.join("\n"));
}
