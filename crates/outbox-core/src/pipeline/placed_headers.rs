use std::collections::BTreeSet;
use std::ops::Deref;

use crate::{ColumnType, EventField};

/// A placed column.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) alias: String,
    pub(crate) index: usize,
    pub(crate) ty: ColumnType,
    pub(crate) field: Option<EventField>,
    /// The event's header that the column holds, if any.
    pub(crate) header: Option<Box<str>>,
}

impl Target {
    /// Returns whether the column holds a part of the event, or one of its headers.
    pub(crate) fn is_of_event(&self) -> bool {
        self.field.is_some() || self.header.is_some()
    }
}

/// The columns that are placed in headers, in the order of their placement.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlacedHeaders {
    targets: Vec<Target>,
    /// Positions of the first of each name, by name.
    by_name: Vec<usize>,
    /// For each position, the index after its name in `by_name`.
    behind: Vec<usize>,
}

impl PlacedHeaders {
    pub(super) fn push(&mut self, target: Target) {
        if let Err(at) = self.position(target.alias.as_bytes()) {
            self.by_name.insert(at, self.targets.len());
        }
        self.targets.push(target);
        let behind = |target: &Target| self.position(target.alias.as_bytes()).map_or(0, |at| at + 1);
        self.behind = self.targets.iter().map(behind).collect();
    }

    /// Finds the columns of a record's headers.
    pub(crate) fn lookup(&self, order: HeaderOrder) -> Lookup<'_> {
        Lookup { headers: self, placed: 0, named: 0, order, seen: SeenIndexes::default() }
    }

    fn position(&self, name: &[u8]) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&index| self.alias(index).cmp(&Some(name)))
    }

    fn alias(&self, index: usize) -> Option<&[u8]> {
        self.targets.get(index).map(|target| target.alias.as_bytes())
    }
}

impl Deref for PlacedHeaders {
    type Target = [Target];

    fn deref(&self) -> &[Target] {
        &self.targets
    }
}

/// The order in which a record has its headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HeaderOrder {
    /// The order in which they are placed.
    #[default]
    Placed,
    /// By name.
    Sorted,
}

/// A cursor over a record's headers. It expects them in the order of their placement, as they were written, or of their
/// names, if a client has sorted them. In any other order it searches.
pub(crate) struct Lookup<'a> {
    headers: &'a PlacedHeaders,
    placed: usize,
    named: usize,
    order: HeaderOrder,
    seen: SeenIndexes,
}

impl<'a> Lookup<'a> {
    /// Returns the column of a header; `None` if the header has occurred before.
    #[inline]
    pub(crate) fn first(&mut self, name: &[u8]) -> Option<&'a Target> {
        let headers = self.headers;
        if let Some(index) = self.expected(self.order)
            && let Some(target) = headers.targets.get(index)
            && target.alias.as_bytes() == name
        {
            self.placed = index + 1;
            self.named += 1;
            return self.seen.enter(index).then_some(target);
        }
        self.unexpected(name)
    }

    /// Returns the order of the last headers.
    pub(crate) fn order(&self) -> HeaderOrder {
        self.order
    }

    #[inline]
    fn expected(&self, order: HeaderOrder) -> Option<usize> {
        match order {
            HeaderOrder::Placed => Some(self.placed),
            HeaderOrder::Sorted => self.headers.by_name.get(self.named).copied(),
        }
    }

    #[cold]
    fn unexpected(&mut self, name: &[u8]) -> Option<&'a Target> {
        let headers = self.headers;
        let index = headers.position(name).ok().and_then(|at| headers.by_name.get(at).copied())?;
        self.order = if index == self.placed { HeaderOrder::Placed } else { HeaderOrder::Sorted };
        self.placed = index + 1;
        self.named = headers.behind.get(index).copied()?;
        if self.seen.enter(index) { headers.targets.get(index) } else { None }
    }
}

/// A set of small numbers. It allocates only for numbers from 64 on.
#[derive(Default)]
struct SeenIndexes {
    low: u64,
    others: BTreeSet<usize>,
}

impl SeenIndexes {
    /// Adds the number, and returns `false` if the set contains it already.
    #[inline]
    fn enter(&mut self, number: usize) -> bool {
        if number >= 64 {
            return self.enter_large(number);
        }
        let bit = 1 << number;
        let is_new = self.low & bit == 0;
        self.low |= bit;
        is_new
    }

    #[cold]
    fn enter_large(&mut self, number: usize) -> bool {
        self.others.insert(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ColumnType;

    fn headers(names: &[&str]) -> PlacedHeaders {
        let mut headers = PlacedHeaders::default();
        for (index, name) in names.iter().enumerate() {
            headers.push(Target { alias: (*name).to_owned(), index, ty: ColumnType::Text, field: None, header: None });
        }
        headers
    }

    fn found(headers: &PlacedHeaders, names: &[&str]) -> Vec<Option<usize>> {
        let mut lookup = headers.lookup(HeaderOrder::Placed);
        names.iter().map(|name| lookup.first(name.as_bytes()).map(|target| target.index)).collect()
    }

    #[test]
    fn headers_are_found_in_every_order() {
        let headers = headers(&["e", "b", "d", "a", "c"]);
        assert_eq!(found(&headers, &["e", "b", "d", "a", "c"]), [0, 1, 2, 3, 4].map(Some));
        assert_eq!(found(&headers, &["a", "b", "c", "d", "e"]), [3, 1, 4, 2, 0].map(Some));
        assert_eq!(found(&headers, &["c", "e", "a", "d", "b"]), [4, 0, 3, 2, 1].map(Some));
        assert_eq!(found(&headers, &["x", "e", "", "d", "dd", "a"]), [None, Some(0), None, Some(2), None, Some(3)]);
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let headers = headers(&["b", "a"]);
        assert_eq!(found(&headers, &["a", "a", "b", "a", "b"]), [Some(1), None, Some(0), None, None]);
    }

    #[test]
    fn there_may_be_more_headers_than_anybody_has() {
        let names: Vec<String> = (0..300).map(|n| format!("h{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let headers = headers(&names);
        let twice: Vec<&str> = names.iter().chain(&names).copied().collect();
        let expected: Vec<_> = (0..300).map(Some).chain(std::iter::repeat_n(None, 300)).collect();
        assert_eq!(found(&headers, &twice), expected);
    }
}
