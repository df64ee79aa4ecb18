//! The list's own form; `operations.txt` begins with its description.

/// One line of the list.
pub enum Line {
    /// A comment or an empty line.
    Nothing,
    /// A section begins.
    Section { title: String, skip: Skip },
    /// Something to do.
    Step(Step),
}

/// Something to do.
pub struct Step {
    /// The line without its mark.
    pub text: String,
    /// The operation.
    pub op: String,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// The names after the arrow.
    pub results: Vec<String>,
    /// Who skips it.
    pub skip: Skip,
}

/// The names in a line's mark.
pub struct Skip(Vec<String>);

impl Skip {
    /// Whether one of `marks` is among them.
    pub fn is_marked(&self, marks: &[String]) -> bool {
        self.0.iter().any(|name| marks.contains(name))
    }
}

impl Step {
    /// The argument at `index`.
    pub fn arg(&self, index: usize) -> &[u8] {
        self.args.get(index).unwrap_or_else(|| panic!("{}: too few arguments", self.text))
    }

    /// The argument at `index` as text.
    pub fn word(&self, index: usize) -> &str {
        std::str::from_utf8(self.arg(index)).unwrap_or_else(|_| panic!("{}: not text", self.text))
    }

    /// The argument at `index` as a number.
    pub fn number(&self, index: usize) -> i64 {
        self.word(index).parse().unwrap_or_else(|_| panic!("{}: not a number", self.text))
    }

    /// The argument at `index` as seconds.
    pub fn seconds(&self, index: usize) -> f64 {
        self.word(index).parse().unwrap_or_else(|_| panic!("{}: not seconds", self.text))
    }

    /// The argument at `index` as permission bits.
    pub fn mode(&self, index: usize) -> u32 {
        u32::from_str_radix(self.word(index), 8).unwrap_or_else(|_| panic!("{}: not octal", self.text))
    }
}

/// Takes a line apart.
pub fn parse(line: &str) -> Line {
    let line = line.trim();
    if line.is_empty() || (line.starts_with('#') && !line.starts_with("## ")) {
        return Line::Nothing;
    }
    let (text, skip) = match line.split_once(" !") {
        Some((text, mark)) => (text.trim_end(), mark.split(':').next().unwrap_or_default()),
        None => (line, ""),
    };
    let skip = Skip(skip.split(',').map(|name| name.trim().to_owned()).collect());
    if let Some(title) = text.strip_prefix("## ") {
        return Line::Section { title: title.trim().replace(' ', "-"), skip };
    }
    let (command, results) = text.split_once(" -> ").unwrap_or((text, ""));
    let mut words = command.split_whitespace();
    let op = words.next().unwrap_or_default().to_owned();
    let args = words.map(unescape).collect();
    let results = results.split_whitespace().map(str::to_owned).collect();
    Line::Step(Step { text: text.to_owned(), op, args, results, skip })
}

/// The bytes a word stands for: `''` is none, `<x*N>` is N times `x`, `\s` a space, `\n` a newline, `\xHH` a byte.
fn unescape(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = if word == "''" { "" } else { word };
    while let Some(first) = rest.chars().next() {
        if first == '<' {
            let (inside, after) = rest[1..].split_once('>').expect("a > for every <");
            let (what, times) = inside.rsplit_once('*').expect("<text*N>");
            bytes.extend(what.repeat(times.parse().expect("<text*N>")).as_bytes());
            rest = after;
        } else if first == '\\' {
            let (byte, length) = match rest.as_bytes().get(1) {
                Some(b's') => (b' ', 2),
                Some(b'n') => (b'\n', 2),
                Some(b'x') => (u8::from_str_radix(&rest[2..4], 16).expect("\\xHH"), 4),
                _ => panic!("unknown escape in {word}"),
            };
            bytes.push(byte);
            rest = &rest[length..];
        } else {
            let mut buffer = [0; 4];
            bytes.extend(first.encode_utf8(&mut buffer).as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    bytes
}

/// Bytes as the answers show them: quoted, and when there are many, their beginning, number and FNV-1a hash.
pub fn shown(bytes: &[u8]) -> String {
    let quoted = |bytes: &[u8]| {
        let escaped = bytes.iter().map(|byte| match byte {
            b'"' | b'\\' => format!("\\x{byte:02x}"),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        });
        format!("\"{}\"", escaped.collect::<String>())
    };
    if bytes.len() <= 64 {
        return quoted(bytes);
    }
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{}... {} bytes {hash:08x}", quoted(&bytes[..16]), bytes.len())
}
