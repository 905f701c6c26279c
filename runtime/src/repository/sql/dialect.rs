//! What one database asks to be said otherwise than another: a session, its queries, its rows.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::repository::{Reply, RepositoryError};

/// A value that goes with a query. Values never stand in its text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Arg {
    Text(String),
    Texts(Vec<String>),
    Count(i64),
}

impl fmt::Debug for Arg {
    /// Says no value: ids of keys may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("?")
    }
}

/// A query with its values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) args: Vec<Arg>,
}

/// The columns of one row, by their place in the query.
pub(crate) trait Cells {
    /// Gives a text.
    fn text(&self, at: usize) -> Result<Option<&str>, String>;

    /// Gives true or false.
    fn flag(&self, at: usize) -> Result<Option<bool>, String>;

    /// Gives a date as a wall clock shows it, in microseconds since 1970.
    fn clock(&self, at: usize) -> Result<Option<i64>, String>;
}

/// Takes a row.
pub(crate) type Sink<'a> = &'a mut (dyn FnMut(&dyn Cells) -> Result<(), RepositoryError> + Send);

/// One connection.
pub(crate) trait Session: Send {
    /// Runs a query and hands over its rows, one by one, as they arrive.
    fn query<'a>(&'a mut self, query: Query, sink: Sink<'a>) -> Reply<'a, ()>;

    /// Begins a read that sees one moment. If `shared` names one, that of another session.
    ///
    /// Gives the name of this moment, if other sessions can share it.
    fn begin(&mut self, shared: Option<String>) -> Reply<'_, Option<String>>;

    /// Ends it.
    fn end(&mut self) -> Reply<'_, ()>;
}

/// A database of one make.
pub(crate) trait Dialect: Send + Sync + fmt::Debug + 'static {
    /// Opens a connection. The error says what is wrong with address or account.
    fn connect(&self) -> Reply<'_, Box<dyn Session>>;

    /// Waits until the database itself tells of a change; for ever, if it never does.
    fn told(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }

    /// Says which schema holds the tables, for `information_schema`.
    fn schemas(&self) -> Query;

    /// Quotes a name.
    fn quote(&self, name: &str) -> String;

    /// Writes the place of value number `number`, counted from one.
    fn place(&self, number: usize) -> String;

    /// Writes the place of a date, given as text.
    fn date_place(&self, number: usize) -> String;

    /// Says that `column` is one of some texts; pushes them to `args`.
    fn any(&self, column: &str, texts: Vec<String>, args: &mut Vec<Arg>) -> String;

    /// Says that two columns come after two places, for the order of both, where the first column
    /// is known not to come before its place.
    fn after(&self, columns: [&str; 2], places: [&str; 2]) -> String;
}
