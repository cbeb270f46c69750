use std::error::Error;
use std::fmt;

/// An error with its causes, separated by `: `, for a log line.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(&'a (dyn Error + 'static));

impl<'a> ErrorChain<'a> {
    /// Creates the chain that starts at `error`.
    #[must_use]
    pub fn new(error: &'a (dyn Error + 'static)) -> Self {
        Self(error)
    }
}

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_cause() {
        let error = std::io::Error::other(std::fmt::Error);
        let top = std::io::Error::other(error);
        assert!(ErrorChain::new(&top).to_string().ends_with(&std::fmt::Error.to_string()));
    }
}
