//! Where a value comes from: the sources in their order, old and new names, placeholders.
//!
//! Highest first: what the caller sets itself, variables with a Gravitee prefix, properties of the host, all other variables,
//! files. What a stock gateway reads under `repositories.` is looked for under the short name in
//! every source first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{Origin, is_secret};
use super::scalar::Style;
use super::variables::Variables;
use super::yaml::Leaf;
use crate::secret::SecretResolver;

/// The name of the folder that paths in a configuration start from.
pub(super) const HOME: &str = "gravitee.home";

/// What may stand under `repositories.` as well.
const SCOPES: [&str; 9] = [
    "oauth2",
    "management",
    "gateway",
    "ratelimit",
    "analytics",
    "keyvalue",
    "distributed-sync",
    "otel-traces",
    "otel-logs",
];

/// For these a stock gateway lets the host's property win over everything else.
const PROPERTY_FIRST: [&str; 3] = ["tags", "organizations", "environments"];

/// Values that name a secret kept elsewhere.
const REFERENCES: [&str; 2] = ["secret://", "kubernetes://"];

const NO_RESOLVER: &str =
    "the value names a secret kept elsewhere, and no resolver for it was given";

/// The most placeholders that one value may lead to.
const EXPANSIONS_MAX: usize = 1_000;
/// The deepest chain of placeholders.
const CHAIN_MAX: usize = 50;
/// The most bytes of a value once its placeholders are replaced.
const VALUE_MAX: usize = 1024 * 1024;

/// A value with its history.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) style: Style,
    pub(super) origin: Origin,
    /// Whether its key, or one that it refers to, is a secret.
    pub(super) secret: bool,
}

/// A value that cannot be resolved.
pub(super) struct Unresolved {
    pub(super) value: Value,
    pub(super) message: String,
}

/// All sources.
#[derive(Default)]
pub(super) struct Properties {
    /// What stands above all else, by full name.
    pub(super) overrides: BTreeMap<String, String>,
    pub(super) variables: Variables,
    pub(super) host: BTreeMap<String, String>,
    /// What the files say, later ones over earlier ones, with the file's name.
    pub(super) files: BTreeMap<String, (Arc<str>, Leaf)>,
    /// The folder that [`HOME`] means when nobody says so.
    pub(super) home: String,
    /// Who knows the secrets that are kept elsewhere.
    pub(super) resolver: Option<Arc<dyn SecretResolver>>,
}

impl Properties {
    /// Finds a value and replaces its placeholders.
    pub(super) fn get(&self, key: &str) -> Result<Option<Value>, Unresolved> {
        let Some(mut value) = self.raw(key) else { return Ok(None) };
        let mut expansion = Expansion { left: EXPANSIONS_MAX, chain: vec![key.to_owned()] };
        let expanded = match whole_placeholder(&value.text) {
            true => Style::Through,
            false => value.style,
        };
        let result = self.expand(&value.text, &mut expansion, &mut value.secret);
        match result {
            Ok(text) => {
                value.text = text;
                value.style = expanded;
            }
            Err(message) => return Err(Unresolved { value, message }),
        }
        if is_reference(&value.text) {
            value.secret = true;
            match self.secret(&value.text) {
                Ok(text) => (value.text, value.style) = (text, Style::Text),
                Err(message) => return Err(Unresolved { value, message }),
            }
        }
        Ok(Some(value))
    }

    /// Asks the host for a secret. One that cannot be had is an error, never a literal or unset.
    fn secret(&self, reference: &str) -> Result<String, String> {
        let Some(resolver) = &self.resolver else { return Err(NO_RESOLVER.to_owned()) };
        let found = resolver.resolve(reference.trim());
        match found.map_err(|why| format!("the secret it names cannot be had: {why}"))? {
            Some(secret) => Ok(secret.reveal().to_owned()),
            None => Err("the secret it names does not exist".to_owned()),
        }
    }

    /// Lists the indices `[0]`, `[1]`, ... that the files give to a key which is a list there.
    pub(super) fn list_in_files(&self, key: &str) -> Vec<String> {
        let names = (0..).map(|i| format!("{key}[{i}]"));
        names.take_while(|name| self.files.contains_key(name)).collect()
    }

    /// Finds a value as it was written.
    pub(super) fn raw(&self, key: &str) -> Option<Value> {
        let scoped = SCOPES
            .iter()
            .any(|scope| key.strip_prefix(scope).is_some_and(|rest| rest.starts_with('.')));
        let found = self.plain(key);
        if found.is_none() && scoped {
            let mut found = self.plain(&format!("repositories.{key}"))?;
            // These arrive as text on a stock gateway, whatever they were in the file.
            if found.style == Style::Plain {
                found.style = Style::Through;
            }
            return Some(found);
        }
        found
    }

    /// Finds a value under just this name. The home folder is always absolute.
    fn plain(&self, key: &str) -> Option<Value> {
        let mut found = self.first(key)?;
        if key == HOME
            && let Ok(path) = std::path::absolute(&found.text)
        {
            found.text = path.to_string_lossy().into_owned();
        }
        Some(found)
    }

    fn first(&self, key: &str) -> Option<Value> {
        let secret = is_secret(key);
        let text = |text: &str, origin| {
            Some(Value { text: text.to_owned(), style: Style::Text, origin, secret })
        };
        let property = |values: &BTreeMap<String, String>| {
            let value = values.get(key)?;
            text(value, Origin::Property(key.to_owned()))
        };
        let host = || property(&self.host);
        if let Some(value) = property(&self.overrides) {
            return Some(value);
        }
        if let Some(value) = PROPERTY_FIRST.contains(&key).then(host).flatten() {
            return Some(value);
        }
        if let Some((name, value)) = self.variables.prefixed(key) {
            return text(value, Origin::Variable(name.to_owned()));
        }
        if let Some(value) = host() {
            return Some(value);
        }
        if let Some((name, value)) = self.variables.plain(key) {
            return text(value, Origin::Variable(name.to_owned()));
        }
        if let Some(value) = self.in_file(key) {
            return Some(value);
        }
        if key == HOME { text(&self.home, Origin::Default) } else { None }
    }

    /// Lists what the files hold, as it is written there.
    pub(super) fn in_files(&self) -> impl Iterator<Item = (&str, Value)> {
        self.files.keys().filter_map(|key| Some((key.as_str(), self.in_file(key)?)))
    }

    fn in_file(&self, key: &str) -> Option<Value> {
        let (name, leaf) = self.files.get(key)?;
        Some(Value {
            text: leaf.text.to_string(),
            style: leaf.style,
            origin: Origin::File { name: name.clone(), line: leaf.line },
            secret: is_secret(key),
        })
    }

    /// Replaces the placeholders of a text; marks it secret if it takes in one.
    fn expand(
        &self,
        text: &str,
        expansion: &mut Expansion,
        secret: &mut bool,
    ) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('\\') {
                out.push_str(&rest[..at - 1]);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            let inner = &rest[at + 2..];
            let Some(end) = closing(inner) else { break };
            out.push_str(&rest[..at]);
            out.push_str(&self.placeholder(&inner[..end], expansion, secret)?);
            if out.len() > VALUE_MAX {
                return Err(format!("its placeholders lead to more than {VALUE_MAX} bytes"));
            }
            rest = &inner[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces one placeholder, given what stands between its braces.
    fn placeholder(
        &self,
        inner: &str,
        expansion: &mut Expansion,
        secret: &mut bool,
    ) -> Result<String, String> {
        expansion.left = expansion
            .left
            .checked_sub(1)
            .ok_or_else(|| format!("it leads to more than {EXPANSIONS_MAX} placeholders"))?;
        if expansion.chain.len() > CHAIN_MAX {
            return Err(format!("its placeholders lead on more than {CHAIN_MAX} times"));
        }
        if !inner.contains("${")
            && let Some(text) = self.named(&inner.replace("\\:", ":"), expansion, secret)?
        {
            return Ok(text);
        }
        let (name, default) = match separator(inner) {
            Some(at) => (&inner[..at], Some(&inner[at + 1..])),
            None => (inner, None),
        };
        // A place in the chain is taken while the name itself is made, so that depth is bounded.
        expansion.chain.push(String::new());
        let name = self.expand(&name.replace("\\:", ":"), expansion, secret);
        let found = name.and_then(|name| Ok((self.named(&name, expansion, secret)?, name)));
        let result = found.and_then(|(found, name)| match (found, default) {
            (Some(text), _) => Ok(text),
            (None, Some(default)) => self.expand(default, expansion, secret),
            (None, None) => Err(format!("the placeholder ${{{name}}} has no value and no default")),
        });
        expansion.chain.pop();
        result
    }

    /// Gives the value of the property that a placeholder names.
    fn named(
        &self,
        name: &str,
        expansion: &mut Expansion,
        secret: &mut bool,
    ) -> Result<Option<String>, String> {
        if name.is_empty() {
            return Ok(None);
        }
        if expansion.chain.iter().any(|open| open == name) {
            return Err(format!("the placeholder ${{{name}}} leads back to itself"));
        }
        let Some(value) = self.raw(name) else { return Ok(None) };
        *secret |= value.secret;
        expansion.chain.push(name.to_owned());
        let text = self.expand(&value.text, expansion, secret);
        expansion.chain.pop();
        match text {
            Ok(text) if is_reference(&text) => {
                *secret = true;
                self.secret(&text).map(Some)
            }
            text => text.map(Some),
        }
    }
}

/// What bounds the work for one value.
struct Expansion {
    left: usize,
    /// The names being resolved.
    chain: Vec<String>,
}

/// Tells whether a text names a secret kept elsewhere.
fn is_reference(text: &str) -> bool {
    REFERENCES.iter().any(|scheme| text.trim_start().starts_with(scheme))
}

/// Tells whether a text is one placeholder and nothing else.
fn whole_placeholder(text: &str) -> bool {
    let inner = text.strip_prefix("${");
    inner.is_some_and(|inner| closing(inner).is_some_and(|end| end + 1 == inner.len()))
}

/// Finds the brace that ends a placeholder, given what follows its start.
fn closing(inner: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Finds the first colon that is neither escaped nor inside a nested placeholder.
fn separator(inner: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let bytes = inner.as_bytes();
    (0..bytes.len()).find(|&at| {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => return at == 0 || bytes[at - 1] != b'\\',
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests;
