//! Names that somebody's code trips over. To a filesystem they are names like others.

use super::prelude::*;

const ODD: &[(&str, &[&str])] = &[
    ("spaces", &[" ", "  ", " a", "a ", "a b"]),
    ("line breaks and tabs", &["\n", "a\nb", "a\n", "\t", "\r\n", "a\rb"]),
    ("leading dots", &["..a", "...", "....", ".a", ".hidden", ". ", ".. "]),
    ("trailing dots", &["a.", "a..", "a. .", "a.b."]),
    ("hyphens", &["-", "--", "-rf", "--help"]),
    (
        "quotes and what a shell means something by",
        &["'", "\"", "`a`", "$HOME", "a;b", "a&b", "a|b", ">", "*", "?", "[a]", "!", "#", "~"],
    ),
    ("backslashes and colons", &["\\", "a\\b", "\\\\", "C:", "a:b", "::$DATA", "\\.."]),
    ("percent signs and escapes", &["%", "%2e%2e", "%2F", "%00", "\\x2f", "&amp;", "=?", "+", "a+b"]),
    ("names of devices elsewhere", &["CON", "nul", "aux.txt", "COM1", "LPT1", "PRN"]),
    (
        "what other systems keep for themselves",
        &["lost+found", ".DS_Store", ".git", ".snapshot", "Thumbs.db", "@eaDir", "._a"],
    ),
    ("numbers", &["0", "00", "1", "01", "-1", "1e3", "0x1", "007"]),
    ("letters of two to four bytes", &["ü", "ß", "€", "𝄞", "日本語", "Ελλάδα", "Привет"]),
    ("emoji", &["🦀", "👩‍👩‍👧", "🇪🇺", "☃\u{fe0f}"]),
    ("right to left", &["שלום", "مرحبا", "\u{202e}txt.exe", "\u{200f}"]),
    ("what does not show", &["\u{200b}", "\u{feff}", "\u{ad}", "a\u{200d}b", "\u{2060}"]),
    (
        "the ends of the code space",
        &["\u{80}", "\u{7ff}", "\u{800}", "\u{fffd}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "\u{e000}"],
    ),
    ("slashes that are none", &["\u{2215}", "\u{ff0f}", "\u{2044}", "\u{29f8}"]),
    ("dots that are none", &["\u{2024}\u{2024}", "\u{ff0e}\u{ff0e}", "\u{2026}", "\u{3002}"]),
    ("templates of printf", &["%s", "%n", "%d%d", "{}", "{0}", "$1"]),
    ("what databases are asked", &["'; --", "\" or 1=1", "a%b_c", "\\'", "NULL"]),
    ("names of objects and properties", &["__proto__", "constructor", "toString", "undefined", "null", "true"]),
];

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::OddNames).law(
        "path_resolution(7): any bytes but / and NUL make a name; wit/backend: UTF-8, 1 to 255 bytes, not . or ..",
    );
    for &(name, names) in ODD {
        cases.add(name, W, move |s| live(s, names));
    }
    cases.add("control characters", W, |s| {
        let names: Vec<_> = (1..32).chain([127]).map(|code| char::from(code).to_string()).collect();
        live(s, &names.iter().map(String::as_str).collect::<Vec<_>>());
    });
    cases.add("every printable ASCII character", W, |s| {
        let plain = (33..127).map(char::from).filter(|&letter| letter != '/' && letter != '.');
        // Where case is folded, one of each letter.
        let folded = |letter: &char| s.has(Capabilities::CASE_SENSITIVE) || !letter.is_ascii_uppercase();
        let names: Vec<_> = plain.filter(folded).map(String::from).collect();
        live(s, &names.iter().map(String::as_str).collect::<Vec<_>>());
    });
    for (name, letter) in [("a", 'a'), ("ü", 'ü'), ("€", '€'), ("𝄞", '𝄞'), (".", '.'), (" ", ' ')] {
        cases.add(format!("255 bytes of {name:?}"), W, move |s| {
            let mut long: String = std::iter::repeat_n(letter, 255 / letter.len_utf8()).collect();
            while long.len() < 255 {
                long.push('x');
            }
            let shorter: String = long.chars().skip(1).collect();
            live(s, &[&long, &shorter]);
        });
    }
    similar(cases);
    cases.law("aufs, overlay: names that a layer marks what is gone with may be refused, and must not vanish");
    cases.add("names that mark what is gone", W, whiteouts);
}

fn similar(cases: &mut Cases) {
    cases.law("wit/backend, capabilities, case-sensitive: names differ by case");
    cases.add("names that differ by case are different", CASE_SENSITIVE, |s| {
        live(s, &["file", "File", "FILE", "fiLe", "ß", "ss", "ẞ", "i", "ı", "İ", "I", "é", "É", "σ", "ς", "Σ"]);
    });
    cases.law("path_resolution(7): a name is its bytes");
    cases.add("composed and combined forms are different", CASE_SENSITIVE, |s| {
        live(
            s,
            &[
                "é",
                "e\u{301}",
                "ü",
                "u\u{308}",
                "Å",
                "\u{212b}",
                "A\u{30a}",
                "ﬁ",
                "fi",
                "한",
                "\u{1112}\u{1161}\u{11ab}",
            ],
        );
    });
    cases.add("names that differ by their last byte of 255 are different", W, |s| {
        let stem = "n".repeat(254);
        let names = ["a", "b", "0"].map(|last| format!("{stem}{last}"));
        live(s, &names.each_ref().map(String::as_str));
    });
    cases.add("names that begin alike are different", W, |s| {
        live(s, &["a", "aa", "aaa", "a.", "a.a", "a-", "a_", "a0", "ab"]);
    });
    cases.law(
        "wit/backend, capabilities, case-sensitive absent: the backend folds case, and keeps the name as it was made",
    );
    cases.add("names that differ by case are the same", W, |s| {
        let made = s.file(s.root, "Name").node;
        same("the number by another case", s.peek(s.root, "nAME").ok().node, made);
        s.create(s.root, "NAME").fails(Errno::Exist);
        s.mkdir(s.root, "name").fails(Errno::Exist);
        s.holds_names(s.root, &["Name"]);
        s.rename(s.root, "name", s.root, "NAME", NONE).ok();
        s.holds_names(s.root, &["NAME"]);
        s.unlink(s.root, "name").ok();
        s.holds_names(s.root, &[]);
    });
    cases.lacking(Capabilities::CASE_SENSITIVE);
}

/// Each name lives a whole life beside all the others.
fn live(s: &Subject, names: &[&str]) {
    let other = s.dir(s.root, "other").node;
    let dir = s.dir(s.root, "dir").node;
    let nodes: Vec<_> = names.iter().map(|name| s.file_of(dir, name, name.as_bytes())).collect();
    s.holds_names(dir, names);
    for (name, &node) in names.iter().zip(&nodes) {
        same(format_args!("what {name:?} leads to"), s.peek(dir, name).ok().node, node);
        same_bytes("what it holds", &s.read(node, 0, 300), name.as_bytes());
        s.create(dir, name).fails(Errno::Exist);
    }
    for (name, &node) in names.iter().zip(&nodes) {
        s.rename(dir, name, other, name, NONE).ok();
        s.is_absent(dir, name);
        same(format_args!("what {name:?} leads to after"), s.peek(other, name).ok().node, node);
    }
    s.holds_names(other, names);
    for (index, name) in names.iter().enumerate() {
        if index % 2 == 0 {
            s.unlink(other, name).ok();
            s.dir(other, name);
            s.rmdir(other, name).ok();
        } else {
            s.rename(other, name, other, "plain", NONE).ok();
            s.rename(other, "plain", other, name, NONE).ok();
            s.unlink(other, name).ok();
        }
        s.is_absent(other, name);
    }
    s.holds_names(other, &[]);
    s.rmdir(s.root, "other").ok();
}

fn whiteouts(s: &Subject) {
    let mut made = Vec::new();
    for name in [".wh.a", ".wh.", ".wh..wh..opq", ".wh..wh.plnk"] {
        if s.create(s.root, name).result.is_ok() {
            made.push(name);
        }
    }
    s.holds_names(s.root, &made);
    s.file(s.root, "a");
    for name in made {
        s.peek(s.root, name).ok();
        s.unlink(s.root, name).ok();
    }
    s.holds_names(s.root, &["a"]);
}
