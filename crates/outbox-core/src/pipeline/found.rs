use crate::Error;

/// The contradictions found in a configuration, which are reported together.
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<Error>);

impl Found {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, error: Error) {
        self.0.push(error);
    }

    /// Returns the value, or keeps the error.
    pub(crate) fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// Returns the first error with all others, if there is one.
    pub(crate) fn into_result(self) -> Result<(), Error> {
        let mut errors = self.0.into_iter();
        match errors.next() {
            Some(first) => Err(first.with_others(errors.collect())),
            None => Ok(()),
        }
    }
}
