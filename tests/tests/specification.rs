//! SPECIFICATION.md names a test for each of its promises; each of them has to be there.

use std::path::Path;

#[test]
fn every_promise_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("SPECIFICATION.md")).unwrap();
    let mut named = 0;
    let mut gone = Vec::new();
    for word in text.split('`').skip(1).step_by(2) {
        let Some((file, function)) = word.split_once(".rs::") else { continue };
        named += 1;
        let source = std::fs::read_to_string(root.join(format!("{file}.rs"))).unwrap_or_default();
        if !source.contains(&format!("#[test]\nfn {function}()")) && !source.contains(&format!("    fn {function}()")) {
            gone.push(word);
        }
    }
    assert!(named > 20, "the page is not read as it is written: {named} tests found");
    assert!(gone.is_empty(), "promised but gone: {gone:#?}");
}

#[test]
fn every_row_names_a_test() {
    let text = include_str!("../../SPECIFICATION.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    for row in rows.filter(|row| !row.contains("| test |")) {
        assert!(row.contains(".rs::"), "no test: {row}");
    }
}
