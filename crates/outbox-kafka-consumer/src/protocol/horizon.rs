/// The reason why a position is not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveRefused {
    /// The inbox has forgotten events from there on: they would take effect again.
    BehindHorizon {
        horizon: i64,
    },
    Negative,
}

/// Checks whether a position may be moved to an offset if the inbox has forgotten the events below `horizon`.
pub fn check_move(to: i64, horizon: i64) -> Result<(), MoveRefused> {
    match to {
        _ if to < 0 => Err(MoveRefused::Negative),
        _ if to < horizon => Err(MoveRefused::BehindHorizon { horizon }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_not_moved_to_what_the_inbox_has_forgotten() {
        assert_eq!(check_move(-1, 0), Err(MoveRefused::Negative));
        assert_eq!(check_move(4, 5), Err(MoveRefused::BehindHorizon { horizon: 5 }));
        assert_eq!((check_move(5, 5), check_move(0, 0)), (Ok(()), Ok(())));
    }
}
