//! Delta debugging: the list is cut in ever smaller chunks (Zeller and Hildebrandt's ddmin, complements only).

/// Asks for ever shorter lists; `take` says whether a list was taken. What was taken last is the result, and no single
/// element of it can be left out, unless `take` refuses for want of tries.
pub(super) fn minimise<T: Clone>(items: &[T], mut take: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = items.to_vec();
    let mut chunk = kept.len();
    while chunk > 0 {
        let mut from = 0;
        let mut any = false;
        while from < kept.len() {
            let until = (from + chunk).min(kept.len());
            let candidate = [&kept[..from], &kept[until..]].concat();
            if take(&candidate) {
                kept = candidate;
                any = true;
            } else {
                from = until;
            }
        }
        // Single elements are gone through until none can go: a cut may make room for one tried before.
        if !any || chunk > 1 {
            chunk /= 2;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::minimise;

    #[test]
    fn what_is_needed_stays_and_nothing_else() {
        let items: Vec<u32> = (0..100).collect();
        let mut tries = 0;
        let kept = minimise(&items, |kept| {
            tries += 1;
            [3, 4, 77].iter().all(|wanted| kept.contains(wanted))
        });
        assert_eq!(kept, [3, 4, 77]);
        assert!(tries < 100, "{tries} tries are more than cutting one by one");
    }

    #[test]
    fn a_cut_that_makes_room_for_an_earlier_one_is_found() {
        // 0 can go only once 1 is gone.
        let kept = minimise(&[0, 1, 2], |kept| kept.contains(&2) && (kept.contains(&0) || !kept.contains(&1)));
        assert_eq!(kept, [2]);
    }

    #[test]
    fn nothing_is_left_where_nothing_is_needed() {
        assert_eq!(minimise(&[1, 2, 3], |_| true), [] as [i32; 0]);
        assert_eq!(minimise(&[] as &[i32], |_| true), [] as [i32; 0]);
    }
}
