//! Messages that are plain text, read without Fluent.
//!
//! A message of one line without a placeable says the same whoever reads it. One pass over the embedded text finds them
//! all; what is left (several lines, placeables, attributes) is Fluent's.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::OnceLock;

use unic_langid::LanguageIdentifier;

use super::{DEFAULT_LOCALE, Localizer, create_wasi_bundle_from_embedded, get_embedded_locale};

thread_local! {
    static UTILITY: RefCell<Option<String>> = const { RefCell::new(None) };
    static MESSAGES: OnceCell<HashMap<&'static str, &'static str>> = const { OnceCell::new() };
}

/// Remembers whose messages will be asked for.
pub(super) fn prepare(utility: &str) {
    UTILITY.with_borrow_mut(|name| *name = Some(utility.to_owned()));
}

/// The message `id`, if it is plain text.
pub(super) fn message(id: &str) -> Option<&'static str> {
    MESSAGES.with(|messages| {
        if let Some(messages) = messages.get() {
            return messages.get(id).copied();
        }
        let utility = UTILITY.with_borrow(Clone::clone)?;
        messages.get_or_init(|| index(&utility)).get(id).copied()
    })
}

/// The embedded texts of a utility; a later one overrides what an earlier one says.
fn texts(utility: &str) -> impl Iterator<Item = &'static str> {
    let common = (utility.ends_with("sum")).then_some("checksum_common/en-US.ftl".to_owned());
    let keys = ["uucore/en-US.ftl".to_owned()].into_iter().chain(common).chain([format!("{utility}/en-US.ftl")]);
    keys.filter_map(|key| get_embedded_locale(&key))
}

fn index(utility: &str) -> HashMap<&'static str, &'static str> {
    let mut found = HashMap::with_capacity(512);
    for text in texts(utility) {
        let mut last = None;
        for line in text.lines() {
            if line.starts_with(' ') {
                // The message before goes on, so it is not one line.
                if let Some(id) = last {
                    found.remove(id);
                }
            } else if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
                let Some((id, value)) = line.split_once('=') else { continue };
                let (id, value) = (id.trim_end(), value.trim());
                last = Some(id);
                if value.is_empty() || value.contains(['{', '}']) {
                    found.remove(id);
                } else {
                    found.insert(id, value);
                }
            }
        }
    }
    found
}

/// Fills `localizer` when nothing has yet and English was prepared.
pub(super) fn start_fluent(localizer: &OnceLock<Localizer>) {
    if localizer.get().is_some() {
        return;
    }
    let Some(utility) = UTILITY.with_borrow(Clone::clone) else { return };
    let Ok(locale) = LanguageIdentifier::from_str(DEFAULT_LOCALE) else { return };
    if let Ok(bundle) = create_wasi_bundle_from_embedded(&locale, &utility) {
        let _ = localizer.set(Localizer::new(bundle));
    }
}
