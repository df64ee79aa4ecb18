//! The little of XML that S3 speaks: elements and their text, as a stream.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use crate::failure::Failure;

/// Deeper than any answer of S3.
const DEPTH_MAX: usize = 16;

/// Walks a document. `element` is called at the end of each element with its name, its parent's name and its own text.
pub(crate) fn walk(document: &[u8], mut element: impl FnMut(&str, &str, String)) -> Result<(), Failure> {
    let mut reader = Reader::from_reader(document);
    let mut open: Vec<(String, String)> = Vec::new();
    let mut seen = false;
    loop {
        match reader.read_event().map_err(|_| Failure::Nonsense("an answer is not XML"))? {
            Event::Start(tag) => {
                let name = tag.local_name();
                open.push((text(name.as_ref())?.to_owned(), String::new()));
                seen = true;
                if open.len() > DEPTH_MAX {
                    return Err(Failure::Nonsense("an answer is nested too deeply"));
                }
            }
            Event::Empty(tag) => {
                let parent = open.last().map_or("", |(name, _)| name);
                element(text(tag.local_name().as_ref())?, parent, String::new());
                seen = true;
            }
            Event::Text(piece) => append(&mut open, text(&piece)?),
            Event::CData(piece) => append(&mut open, text(&piece)?),
            Event::GeneralRef(reference) => {
                let resolved = reference.resolve_char_ref().map_err(|_| Failure::Nonsense("an answer is not XML"))?;
                match resolved {
                    Some(char) => append(&mut open, char.encode_utf8(&mut [0; 4])),
                    None => {
                        let known = resolve_predefined_entity(text(&reference)?);
                        append(&mut open, known.ok_or(Failure::Nonsense("an answer has an unknown entity"))?);
                    }
                }
            }
            Event::End(_) => {
                let Some((name, content)) = open.pop() else { return Err(Failure::Nonsense("an answer is not XML")) };
                element(&name, open.last().map_or("", |(parent, _)| parent), content);
            }
            Event::Eof if open.is_empty() && seen => return Ok(()),
            Event::Eof => return Err(Failure::Nonsense("an answer ends too early")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            // Nothing of S3 has one, and it could define entities.
            Event::DocType(_) => return Err(Failure::Nonsense("an answer has a document type")),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| Failure::Nonsense("an answer is not UTF-8"))
}

fn append(open: &mut [(String, String)], piece: &str) {
    if let Some((_, content)) = open.last_mut() {
        content.push_str(piece);
    }
}

/// The text of the first element of this name.
pub(crate) fn first(document: &[u8], wanted: &str) -> Result<Option<String>, Failure> {
    let mut found = None;
    walk(document, |name, _, content| {
        if name == wanted && found.is_none() {
            found = Some(content);
        }
    })?;
    Ok(found)
}

/// A text as it may stand in an element.
pub(crate) fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(document: &str) -> Result<Vec<(String, String, String)>, Failure> {
        let mut all = Vec::new();
        walk(document.as_bytes(), |name, parent, content| all.push((parent.into(), name.into(), content)))?;
        Ok(all)
    }

    #[test]
    fn text_is_kept_to_the_letter() {
        let all =
            flat("<?xml version=\"1.0\"?><L xmlns=\"u\"><K> a&amp;b&#x20;&#10;</K><E/><K><![CDATA[<x>]]></K></L>")
                .unwrap();
        let texts: Vec<_> = all.iter().map(|(_, name, content)| (name.as_str(), content.as_str())).collect();
        assert_eq!(texts, [("K", " a&b \n"), ("E", ""), ("K", "<x>"), ("L", "")]);
        assert_eq!(all[0].0, "L");
    }

    #[test]
    fn what_is_no_xml_is_refused() {
        for wrong in ["", "text", "<a>", "<a></b>", "<a>&nope;</a>", "<!DOCTYPE a><a/>", "<a>&#0;</a>", "{\"a\": 1}"] {
            assert!(flat(wrong).is_err(), "{wrong}");
        }
        assert!(flat(&"<a>".repeat(1000)).is_err());
        assert!(walk(b"<a>\xff</a>", |_, _, _| {}).is_err());
    }

    #[test]
    fn the_first_of_a_name() {
        assert_eq!(first(b"<E><Code>NoSuchKey</Code></E>", "Code").unwrap().as_deref(), Some("NoSuchKey"));
        assert_eq!(first(b"<E/>", "Code").unwrap(), None);
    }
}
