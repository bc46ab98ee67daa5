//! Where a sum over tokens, in their order, passes a number.

/// Whole numbers in the order of logits; 0 and -0 are one.
pub fn key(logit: f32) -> i32 {
    let bits = (logit + 0.0).to_bits() as i32;
    bits ^ ((bits >> 31) & i32::MAX)
}

/// A bound of a sum: it is passed above it, or already at it.
#[derive(Clone, Copy)]
pub struct Bound {
    pub at: f64,
    pub inclusive: bool,
}

impl Bound {
    fn passed_by(self, sum: f64) -> bool {
        sum > self.at || (self.inclusive && sum == self.at)
    }
}

/// The place at which the sum passes the bound, else the last one that adds anything; and the sum before it.
pub fn place_of(parts: impl Iterator<Item = f64>, before: f64, bound: Bound) -> (usize, f64) {
    let (mut place, mut ahead, mut sum) = (0, before, before);
    for (at, part) in parts.enumerate() {
        if part == 0.0 {
            continue;
        }
        (place, ahead) = (at, sum);
        sum += part;
        if bound.passed_by(sum) {
            break;
        }
    }
    (place, ahead)
}

/// One of the tokens that are looked at.
#[derive(Clone, Copy)]
pub struct Near {
    pub key: i32,
    pub id: u32,
    pub weight: f32,
}

/// Ranges of keys that tokens are told apart by in one pass: three passes tell all keys apart.
const RANGE_BITS: u32 = 12;
pub const RANGES: usize = 1 << RANGE_BITS;

/// The token of `near`, which is in the order of the ids, at which the sum of what each adds passes the bound, from `ahead` on; and
/// what those until it weigh. Others are thrown out of `near` on the way.
pub fn find(
    near: &mut Vec<Near>,
    ranges: &mut [f64],
    mut ahead: f64,
    bound: Bound,
    adds: impl Fn(&Near) -> f64,
) -> Option<(Near, f64)> {
    let mut mass = 0.0;
    loop {
        let (low, high) = near.iter().fold((i32::MAX, i32::MIN), |(low, high), one| {
            (low.min(one.key), high.max(one.key))
        });
        if low >= high {
            break;
        }
        let span = high.wrapping_sub(low) as u32;
        let shift = (32 - span.leading_zeros()).saturating_sub(RANGE_BITS);
        let range = |one: &Near| (high.wrapping_sub(one.key) as u32 >> shift) as usize;
        ranges.fill(0.0);
        for one in near.iter() {
            ranges[range(one)] += adds(one);
        }
        let place;
        (place, ahead) = place_of(ranges.iter().copied(), ahead, bound);
        near.retain(|one| {
            let its = range(one);
            if its < place {
                mass += f64::from(one.weight);
            }
            its == place
        });
    }
    // Their logits are equal, and so is what each of them adds.
    let each = adds(near.first()?);
    let parts = (bound.at - ahead) / each;
    let needed = if bound.inclusive {
        parts.ceil()
    } else {
        parts.floor() + 1.0
    };
    let count = (needed as usize).clamp(1, near.len());
    let last = near[count - 1];
    Some((last, mass + count as f64 * f64::from(last.weight)))
}
