/// Below which offset the inbox may forget what was handled: never above the position.
pub(crate) fn purge_below(position: i64, aged: i64) -> i64 {
    position.min(aged)
}

/// Why a position is not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveRefused {
    /// The inbox has forgotten events from there on: they would take effect again.
    BehindHorizon {
        horizon: i64,
    },
    Negative,
}

/// Whether a position may be moved there, when the inbox has forgotten what lies below `horizon`.
pub(crate) fn check_move(to: i64, horizon: i64) -> Result<(), MoveRefused> {
    match to {
        _ if to < 0 => Err(MoveRefused::Negative),
        _ if to < horizon => Err(MoveRefused::BehindHorizon { horizon }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a move allows is read again only where the inbox still knows it.
        #[test]
        fn a_purge_and_a_move_never_meet(position in 0_i64..1000, aged in 0_i64..1000, to in -10_i64..1000) {
            let horizon = purge_below(position, aged);
            prop_assert!(horizon <= position);
            prop_assert_eq!(check_move(to, horizon).is_ok(), to >= horizon && to >= 0);
            prop_assert!(check_move(position, horizon).is_ok());
        }
    }
}
