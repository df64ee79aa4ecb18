//! Listing keys.

use std::sync::Arc;

use eyot_backend::Timestamp;
use http::Method;

use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::requests::Object;
use crate::xml;

/// More pages than that is no listing that ends.
pub(crate) const PAGES_MAX: usize = 10_000;

/// Some of the keys that begin alike.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Objects, by their whole keys.
    pub(crate) objects: Vec<(String, Object)>,
    /// What keys have in common up to the delimiter.
    pub(crate) prefixes: Vec<String>,
    /// How to go on; `None` at the end.
    pub(crate) next: Option<String>,
}

impl Client {
    /// One page of the keys with this prefix. With `delimited` those that go on beyond a slash are put together.
    pub(crate) async fn list_page(
        &self,
        prefix: &str,
        delimited: bool,
        keys_max: usize,
        token: Option<&str>,
    ) -> Result<Page, Failure> {
        let mut request = Request::new(self, Method::GET, "").query("list-type", "2").query("prefix", prefix);
        if delimited {
            request = request.query("delimiter", "/");
        }
        if keys_max < 1000 {
            request = request.query("max-keys", &keys_max.to_string());
        }
        if let Some(token) = token {
            request = request.query("continuation-token", token);
        }
        let page = parse(&self.send(&request).await?.body)?;
        if page.next.is_some() && page.next.as_deref() == token {
            return Err(Failure::Nonsense("a listing turns in a circle"));
        }
        Ok(page)
    }
}

fn parse(document: &[u8]) -> Result<Page, Failure> {
    let mut page = Page::default();
    let (mut key, mut object, mut sized) = (None, Object::default(), false);
    let (mut truncated, mut is_listing, mut wrong) = (false, false, false);
    xml::walk(document, |name, parent, text| match (parent, name) {
        ("Contents", "Key") => key = Some(text),
        ("Contents", "Size") => {
            sized = text.trim().parse().map(|size| object.size = size).is_ok();
        }
        ("Contents", "ETag") => object.etag = Some(text).filter(|etag| (1..=256).contains(&etag.len())).map(Arc::from),
        ("Contents", "LastModified") => object.modified = parse_date(&text).unwrap_or_default(),
        (_, "Contents") => match key.take() {
            Some(key) if sized => page.objects.push((key, std::mem::take(&mut object))),
            _ => wrong = true,
        },
        ("CommonPrefixes", "Prefix") => page.prefixes.push(text),
        (_, "NextContinuationToken") => page.next = Some(text).filter(|token| !token.is_empty()),
        (_, "IsTruncated") => truncated = text.trim() == "true",
        (_, "ListBucketResult") => is_listing = true,
        _ => {}
    })?;
    if !is_listing || wrong || truncated && page.next.is_none() {
        return Err(Failure::Nonsense("an answer is no listing"));
    }
    if !truncated {
        page.next = None;
    }
    Ok(page)
}

fn parse_date(date: &str) -> Option<Timestamp> {
    let parsed = chrono::DateTime::parse_from_rfc3339(date.trim()).ok()?;
    Some(Timestamp { seconds: parsed.timestamp(), nanoseconds: parsed.timestamp_subsec_nanos().min(999_999_999) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let page = parse(
            br#"<?xml version="1.0"?><ListBucketResult xmlns="x"><IsTruncated>true</IsTruncated>
            <Contents><Key>a/b c</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>
            <Contents><Key> </Key><Size>0</Size></Contents>
            <CommonPrefixes><Prefix>a/d/</Prefix></CommonPrefixes><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"#,
        )
        .unwrap();
        assert_eq!(page.objects.len(), 2);
        let (key, object) = &page.objects[0];
        assert_eq!((key.as_str(), object.size, object.etag.as_deref()), ("a/b c", 7, Some("\"e\"")));
        assert_eq!(object.modified.nanoseconds, 678_000_000);
        assert_eq!(page.objects[1].0, " ");
        assert_eq!((page.prefixes, page.next.as_deref()), (vec!["a/d/".to_owned()], Some("t")));
    }

    #[test]
    fn what_is_no_page() {
        for wrong in [
            "<html></html>",
            "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
