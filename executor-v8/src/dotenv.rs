//! The format of `.env` files, as `util.parseEnv` and `--env-file` read it.

/// The assignments of a `.env` text, in order. Lines without `=` and comments are skipped; values may be quoted with `'`,
/// `"` or a backtick and then span lines; `\n` in double quotes is a line break.
pub(crate) fn parse(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        rest = rest.trim_start_matches([' ', '\t', '\n']);
        let (line, after_line) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.starts_with('#') {
            rest = after_line;
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            rest = after_line;
            continue;
        };
        let key = key.trim();
        let key = key.strip_prefix("export ").unwrap_or(key).trim();
        let from_value = rest.get(line.len() - value.len()..).unwrap_or("").trim_start_matches([' ', '\t']);
        if key.is_empty() {
            rest = after_line;
            continue;
        }
        let quote = from_value.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
        if let Some(q) = quote
            && let Some(inner) = from_value.get(1..)
            && let Some(end) = inner.find(q)
        {
            let quoted = inner.get(..end).unwrap_or("");
            let v = if q == '"' { quoted.replace("\\n", "\n") } else { quoted.to_owned() };
            out.push((key.to_owned(), v));
            let tail = inner.get(end + 1..).unwrap_or("");
            rest = tail.split_once('\n').map_or("", |(_, r)| r);
            continue;
        }
        let v = value.split('#').next().unwrap_or("").trim();
        out.push((key.to_owned(), v.to_owned()));
        rest = after_line;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn one(s: &str) -> (String, String) {
        parse(s).into_iter().next().unwrap_or_default()
    }

    #[test]
    fn plain_quoted_and_commented_values() {
        assert_eq!(one("A=b"), ("A".into(), "b".into()));
        assert_eq!(one("export A = b # c"), ("A".into(), "b".into()));
        assert_eq!(one("A=\"x\\ny\""), ("A".into(), "x\ny".into()));
        assert_eq!(one("A='x\\n#y'"), ("A".into(), "x\\n#y".into()));
        assert_eq!(parse("A=\"1\n2\"\nB=3").len(), 2);
        assert_eq!(parse("# no\nnothing\n=x\n"), vec![]);
        assert_eq!(one("A="), ("A".into(), String::new()));
    }
}
