//! What a row is read from: named members, whatever holds them.
//!
//! A file and a document database have JSON objects, an SQL database has columns. Both answer the
//! same questions, so that what a row means and what is wrong with it is said once, in `rows`.

use std::borrow::Cow;

use serde_json::value::RawValue;
use zonesync_core::id::ID_MAX;
use zonesync_core::time::WallTime;

use super::json::{Object, is_too_deep, text_of};

/// The members of one row. An absent one and one that is null are the same.
pub(crate) trait Members {
    /// Gives a member that is text.
    fn text(&self, name: &str) -> Result<Option<Cow<'_, str>>, String>;

    /// Gives a member that is true or false.
    fn flag(&self, name: &str) -> Result<Option<bool>, String>;

    /// Gives a member that is a date.
    fn date(&self, name: &str) -> Result<Option<WallTime>, String>;

    /// Gives a member that is an array of texts; absent is empty.
    fn texts(&self, name: &str) -> Result<Box<[Box<str>]>, String>;

    /// Gives names and values of a member that is an object of texts, without those that are null.
    fn map(&self, name: &str) -> Result<Vec<[Box<str>; 2]>, String>;

    /// Gives one of an event's properties.
    fn property(&self, name: &str) -> Result<Option<Box<str>>, String>;

    /// Gives a member that is JSON inside text; none if it is no JSON, as gateways leave it out.
    fn json(&self, name: &str) -> Option<Box<str>>;

    /// Gives a member that is text, in a box.
    fn boxed(&self, name: &str) -> Result<Option<Box<str>>, String> {
        Ok(self.text(name)?.map(|text| text.into_owned().into_boxed_str()))
    }

    /// Gives a member that names something: not empty, at most [`ID_MAX`] bytes.
    fn id(&self, name: &str) -> Result<Option<Box<str>>, String> {
        an_id(name, self.boxed(name)?)
    }

    /// Gives one of an event's properties that names something.
    fn property_id(&self, name: &str) -> Result<Option<Box<str>>, String> {
        an_id(name, self.property(name)?)
    }
}

fn an_id(name: &str, text: Option<Box<str>>) -> Result<Option<Box<str>>, String> {
    let id = text.filter(|id| !id.is_empty());
    if id.as_ref().is_some_and(|id| id.len() > ID_MAX) {
        return Err(format!("`{name}` is longer than {ID_MAX} bytes"));
    }
    Ok(id)
}

/// Gives a text that is JSON.
pub(crate) fn json_text(text: &str) -> Option<Box<str>> {
    if is_too_deep(text) {
        return None;
    }
    serde_json::from_str::<&RawValue>(text).ok().map(|raw| raw.get().into())
}

impl Members for Object<'_> {
    fn text(&self, name: &str) -> Result<Option<Cow<'_, str>>, String> {
        Object::text(self, name)
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        Object::flag(self, name)
    }

    fn date(&self, name: &str) -> Result<Option<WallTime>, String> {
        Object::date(self, name)
    }

    fn texts(&self, name: &str) -> Result<Box<[Box<str>]>, String> {
        Object::texts(self, name)
    }

    fn map(&self, name: &str) -> Result<Vec<[Box<str>; 2]>, String> {
        Object::map(self, name)
    }

    fn property(&self, name: &str) -> Result<Option<Box<str>>, String> {
        let Some(properties) = self.raw("properties") else { return Ok(None) };
        let properties = Object::parse(properties).map_err(|e| format!("`properties`: {e}"))?;
        properties.boxed(name)
    }

    fn json(&self, name: &str) -> Option<Box<str>> {
        let raw = self.raw(name)?;
        match text_of(raw) {
            Some(text) => json_text(&text),
            None => Some(raw.into()),
        }
    }
}
