//! A row of an SQL database, as the mapping asks for it.

use std::borrow::Cow;

use zonesync_core::time::WallTime;

use super::clock::Zone;
use super::dialect::Cells;
use super::tables::{Column, Holds};
use crate::repository::mapping::members::{Members, json_text};

/// Names and values that stand in a table of their own.
pub(crate) type Pairs = Vec<[Box<str>; 2]>;

/// One row with what belongs to it from other tables.
pub(crate) struct SqlRow<'a> {
    pub(crate) columns: &'static [Column],
    pub(crate) cells: &'a dyn Cells,
    pub(crate) zone: &'a Zone,
    /// The member that is a list, and its items.
    pub(crate) list: (&'static str, &'a [Box<str>]),
    /// Properties of an event, metadata of a subscription.
    pub(crate) pairs: &'a [[Box<str>; 2]],
}

impl SqlRow<'_> {
    fn place(&self, name: &str, holds: Holds) -> Option<usize> {
        self.columns.iter().position(|column| column.0 == name && column.2 == holds)
    }
}

impl Members for SqlRow<'_> {
    fn text(&self, name: &str) -> Result<Option<Cow<'_, str>>, String> {
        let Some(at) = self.place(name, Holds::Text) else { return Ok(None) };
        Ok(self.cells.text(at).map_err(|why| wrong(name, why))?.map(Cow::Borrowed))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        let Some(at) = self.place(name, Holds::Flag) else { return Ok(None) };
        self.cells.flag(at).map_err(|why| wrong(name, why))
    }

    fn date(&self, name: &str) -> Result<Option<WallTime>, String> {
        let Some(at) = self.place(name, Holds::Date) else { return Ok(None) };
        let clock = self.cells.clock(at).map_err(|why| wrong(name, why))?;
        Ok(clock.map(|clock| self.zone.instant(clock)))
    }

    fn texts(&self, name: &str) -> Result<Box<[Box<str>]>, String> {
        Ok(if self.list.0 == name { self.list.1.into() } else { Box::default() })
    }

    fn map(&self, _: &str) -> Result<Vec<[Box<str>; 2]>, String> {
        Ok(self.pairs.to_vec())
    }

    fn property(&self, name: &str) -> Result<Option<Box<str>>, String> {
        Ok(self.pairs.iter().find(|pair| *pair[0] == *name).map(|pair| pair[1].clone()))
    }

    fn json(&self, name: &str) -> Option<Box<str>> {
        json_text(&self.text(name).ok()??)
    }
}

fn wrong(name: &str, why: String) -> String {
    format!("`{name}`: {why}")
}

/// The columns of a row, kept until what belongs to it is read.
#[derive(Debug)]
pub(crate) struct Kept(Vec<Cell>);

#[derive(Debug)]
enum Cell {
    Null,
    Text(Box<str>),
    Flag(bool),
    Clock(i64),
    Broken(String),
}

impl Kept {
    /// Copies the columns of a row.
    pub(crate) fn copy(columns: &[Column], cells: &dyn Cells) -> Self {
        let copy = |(at, column): (usize, &Column)| {
            let cell = match column.2 {
                Holds::Text => cells.text(at).map(|text| text.map(|text| Cell::Text(text.into()))),
                Holds::Flag => cells.flag(at).map(|flag| flag.map(Cell::Flag)),
                Holds::Date => cells.clock(at).map(|clock| clock.map(Cell::Clock)),
            };
            cell.map_or_else(Cell::Broken, |cell| cell.unwrap_or(Cell::Null))
        };
        Self(columns.iter().enumerate().map(copy).collect())
    }
}

impl Cells for Kept {
    fn text(&self, at: usize) -> Result<Option<&str>, String> {
        match &self.0[at] {
            Cell::Text(text) => Ok(Some(text)),
            Cell::Broken(why) => Err(why.clone()),
            _ => Ok(None),
        }
    }

    fn flag(&self, at: usize) -> Result<Option<bool>, String> {
        match &self.0[at] {
            Cell::Flag(flag) => Ok(Some(*flag)),
            Cell::Broken(why) => Err(why.clone()),
            _ => Ok(None),
        }
    }

    fn clock(&self, at: usize) -> Result<Option<i64>, String> {
        match &self.0[at] {
            Cell::Clock(clock) => Ok(Some(*clock)),
            Cell::Broken(why) => Err(why.clone()),
            _ => Ok(None),
        }
    }
}
