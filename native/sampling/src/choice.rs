//! What can still be drawn.

use core::arch::wasm32::*;
use core::cmp::Reverse;

use crate::lanes::{allowed, halved, largest_of, load, load_whole, store, store_whole, FORBIDDEN};
use crate::order::{find, key, place_of, Bound, Near, RANGES};

const LANES: usize = 4;

/// Ranges of logits that sums are kept for, each for every lane; and one that takes what is left out.
const BINS: usize = 511;
const OUT: usize = BINS;

/// Tokens of a block: the largest logits of blocks say what the likeliest tokens have at least. As many as a word of the mask has.
const BLOCK: usize = 32;

/// Logits that are asked for where most of them lie, and how many of both ends are left out.
const ASKED: usize = 256;
const ENDS: usize = 4;

/// What a request asks for: see `Sampling` of the engine.
#[derive(Clone, Copy)]
pub struct Filters {
    pub temperature: f64,
    /// 0: all.
    pub top_k: usize,
    pub top_p: f64,
    pub min_p: f64,
}

pub struct Choice {
    tokens: usize,
    /// With tokens that may not come behind the last one, to a whole word of the mask.
    pub logits: Vec<f32>,
    pub mask: Vec<u32>,
    pub listed: Vec<u32>,
    largest: Vec<f32>,
    ranked: Vec<f32>,
    bins: Vec<i32>,
    weights: Vec<f32>,
    masses: [f64; (BINS + 1) * LANES],
    counts: [u32; (BINS + 1) * LANES],
    /// Tokens of the bin that was looked at last, as long as none was thrown out.
    near: Vec<Near>,
    near_bin: usize,
    ranges: Vec<f64>,
    best: usize,
    /// Logits of the first bin are at least this one.
    high: f32,
    per_bin: f32,
    /// The last token that is left, in the order; and what those that are left weigh together.
    floor: f32,
    last: u32,
    left: f64,
}

impl Choice {
    /// All room that is ever needed: who looks into the memory would lose it where it grows.
    pub fn new(tokens: usize) -> Choice {
        let blocks = tokens.div_ceil(BLOCK);
        let padded = blocks * BLOCK;
        Choice {
            tokens,
            logits: vec![FORBIDDEN; padded],
            mask: vec![0; blocks],
            listed: Vec::with_capacity(tokens),
            largest: vec![FORBIDDEN; blocks],
            ranked: Vec::with_capacity(blocks),
            bins: vec![0; padded],
            weights: vec![0.0; padded],
            masses: [0.0; (BINS + 1) * LANES],
            counts: [0; (BINS + 1) * LANES],
            near: Vec::with_capacity(padded),
            near_bin: OUT,
            ranges: vec![0.0; RANGES],
            best: 0,
            high: 0.0,
            per_bin: 0.0,
            floor: FORBIDDEN,
            last: u32::MAX,
            left: 0.0,
        }
    }

    pub fn likeliest(&mut self, masked: bool) -> i32 {
        let mut finite = i32x4_splat(-1);
        for block in 0..self.largest.len() {
            let mut largest = f32x4_splat(FORBIDDEN);
            for at in (block * BLOCK..(block + 1) * BLOCK).step_by(LANES) {
                let mut four = load(&self.logits, at);
                finite = v128_and(finite, f32x4_le(f32x4_abs(four), f32x4_splat(f32::MAX)));
                if masked {
                    four = v128_bitselect(four, f32x4_splat(FORBIDDEN), allowed(&self.mask, at));
                    store(&mut self.logits, at, four);
                }
                largest = f32x4_pmax(largest, four);
            }
            self.largest[block] = largest_of(largest);
        }
        if !i32x4_all_true(finite) {
            return -1;
        }
        let best = self.largest.iter().copied().fold(FORBIDDEN, f32::max);
        let block = self
            .largest
            .iter()
            .position(|&one| one == best)
            .unwrap_or(0);
        let of_block = &self.logits[block * BLOCK..][..BLOCK];
        (block * BLOCK + of_block.iter().position(|&one| one == best).unwrap_or(0)) as i32
    }

    /// Logits below it are those of no token that the filters leave.
    fn floor_of(&mut self, filters: Filters) -> f32 {
        let heavy = if filters.top_p == 1.0 {
            self.least_of(filters)
        } else {
            FORBIDDEN
        };
        heavy
            .max(self.floor_of_first(filters.top_k))
            .max(FORBIDDEN.next_up())
    }

    /// The least logit that min-p leaves.
    fn least_of(&self, filters: Filters) -> f32 {
        let top = f64::from(self.logits[self.best]);
        let exact = top + filters.min_p.ln() * filters.temperature;
        let rounded = exact as f32;
        if f64::from(rounded) < exact {
            rounded.next_up()
        } else {
            rounded
        }
    }

    /// So many logits at least are as large: so many blocks have one. It is not worth the search where most blocks do.
    fn floor_of_first(&mut self, count: usize) -> f32 {
        if count == 0 || count > self.largest.len() / 4 {
            return FORBIDDEN;
        }
        self.ranked.clear();
        self.ranked.extend_from_slice(&self.largest);
        *self
            .ranked
            .select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a))
            .1
    }

    /// Where most of the logits lie is divided into bins: a few beyond it do not make them wider.
    fn lay_bins(&mut self) {
        let mut room = [FORBIDDEN; ASKED];
        let mut count = 0;
        for part in 0..ASKED {
            room[count] = self.logits[part * self.tokens / ASKED];
            count += usize::from(room[count] >= self.floor);
        }
        let asked = &mut room[..count];
        asked.sort_unstable_by(f32::total_cmp);
        let ends = count * ENDS / ASKED;
        let low = asked.get(ends).copied().unwrap_or(self.floor);
        self.high = *asked
            .get(count.wrapping_sub(1 + ends))
            .unwrap_or(&self.logits[self.best]);
        self.per_bin = (BINS - 1) as f32 / (self.high - low).max(1e-30);
    }

    pub fn weigh_all(&mut self, best: usize) -> f64 {
        self.best = best;
        self.weigh(1.0, FORBIDDEN.next_up());
        self.left
    }

    /// All tokens of at least this logit are left; the likeliest one weighs 1.
    fn weigh(&mut self, temperature: f64, floor: f32) {
        (self.floor, self.last) = (floor, u32::MAX);
        self.lay_bins();
        self.masses.fill(0.0);
        self.counts.fill(0);
        let top = f32x4_splat(self.logits[self.best]);
        let halvings = (core::f64::consts::LOG2_E / temperature) as f32;
        let halvings = f32x4_splat(halvings.min(f32::MAX));
        for at in (0..self.logits.len()).step_by(LANES) {
            let four = load(&self.logits, at);
            let left = f32x4_ge(four, f32x4_splat(floor));
            if !v128_any_true(left) {
                store_whole(&mut self.bins, at, i32x4_splat(OUT as i32));
                continue;
            }
            let weights = halved(f32x4_mul(f32x4_sub(top, four), halvings));
            let bins = v128_bitselect(self.bins_of(four), i32x4_splat(OUT as i32), left);
            store(&mut self.weights, at, weights);
            store_whole(&mut self.bins, at, bins);
            self.add::<0>(bins, weights);
            self.add::<1>(bins, weights);
            self.add::<2>(bins, weights);
            self.add::<3>(bins, weights);
        }
        self.near_bin = OUT;
        self.left = self.mass_before(BINS);
    }

    #[inline(always)]
    fn bins_of(&self, four: v128) -> v128 {
        let place = f32x4_mul(
            f32x4_sub(f32x4_splat(self.high), four),
            f32x4_splat(self.per_bin),
        );
        let place = i32x4_max(i32x4_trunc_sat_f32x4(place), i32x4_splat(0));
        i32x4_min(place, i32x4_splat(BINS as i32 - 1))
    }

    #[inline(always)]
    fn add<const LANE: usize>(&mut self, bins: v128, weights: v128) {
        let at = (i32x4_extract_lane::<LANE>(bins) as usize & OUT) * LANES + LANE;
        self.masses[at] += f64::from(f32x4_extract_lane::<LANE>(weights));
        self.counts[at] += 1;
    }

    fn mass_of(&self, bin: usize) -> f64 {
        self.masses[bin * LANES..][..LANES].iter().sum()
    }

    fn count_of(&self, bin: usize) -> f64 {
        self.counts[bin * LANES..][..LANES]
            .iter()
            .map(|&count| f64::from(count))
            .sum()
    }

    fn mass_before(&self, bin: usize) -> f64 {
        (0..bin).map(|one| self.mass_of(one)).sum()
    }

    pub fn filter(&mut self, best: usize, filters: Filters) {
        self.best = best;
        let floor = self.floor_of(filters);
        self.weigh(filters.temperature, floor);
        if filters.top_k > 0 && filters.top_k < self.tokens {
            self.keep_first(filters.top_k);
        }
        if filters.top_p < 1.0 {
            let bound = Bound {
                at: filters.top_p * self.left,
                inclusive: true,
            };
            if let Some((last, mass)) = self.passing_mass(bound) {
                self.keep(last, mass);
            }
        }
        if filters.min_p > 0.0 {
            self.keep_from(self.least_of(filters));
        }
    }

    fn is_left(&self, id: u32) -> bool {
        let logit = self.logits[id as usize];
        logit > self.floor || (logit == self.floor && id <= self.last)
    }

    /// Keeps what comes until this token, which weigh `mass`. Rounding can go one too far.
    fn keep(&mut self, id: u32, mass: f64) {
        if self.is_left(id) {
            (self.floor, self.last, self.left) = (self.logits[id as usize], id, mass);
        }
    }

    fn keep_first(&mut self, count: usize) {
        let bound = Bound {
            at: count as f64,
            inclusive: true,
        };
        let (bin, before) = place_of((0..BINS).map(|one| self.count_of(one)), 0.0, bound);
        if let Some((last, within)) = self.find(bin, before, bound, |_| 1.0) {
            self.keep(last.id, self.mass_before(bin) + within);
        }
    }

    /// Keeps those of at least this logit.
    fn keep_from(&mut self, floor: f32) {
        if floor <= self.floor {
            return;
        }
        let bin = i32x4_extract_lane::<0>(self.bins_of(f32x4_splat(floor))) as usize;
        self.look_at(bin);
        let heavy = self.near.iter().filter(|one| one.key >= key(floor));
        let within: f64 = heavy.map(|one| f64::from(one.weight)).sum();
        (self.floor, self.last) = (floor, u32::MAX);
        self.left = self.mass_before(bin) + within;
    }

    /// The token at which the weights, added up in order, pass the bound, and what those until it weigh. None weighs anything
    /// where the likeliest one does not.
    fn passing_mass(&mut self, bound: Bound) -> Option<(u32, f64)> {
        let (bin, before) = place_of((0..BINS).map(|one| self.mass_of(one)), 0.0, bound);
        let (last, within) = self.find(bin, before, bound, |one| f64::from(one.weight))?;
        (last.weight > 0.0).then_some((last.id, before + within))
    }

    /// The token at which the weights, added up in order, are more than `share` of what is left.
    pub fn draw(&mut self, share: f64) -> usize {
        let bound = Bound {
            at: share * self.left,
            inclusive: false,
        };
        let drawn = self.passing_mass(bound).map(|(id, _)| id);
        // Rounding can go one too far.
        drawn
            .filter(|&id| self.is_left(id))
            .map_or(self.best, |id| id as usize)
    }

    /// The token of the bin at which the sum passes the bound, and what those of the bin until it weigh.
    fn find(
        &mut self,
        bin: usize,
        before: f64,
        bound: Bound,
        adds: impl Fn(&Near) -> f64,
    ) -> Option<(Near, f64)> {
        self.look_at(bin);
        let count = self.near.len();
        let found = find(&mut self.near, &mut self.ranges, before, bound, adds);
        if self.near.len() < count {
            self.near_bin = OUT;
        }
        found
    }

    /// Gathers the tokens of a bin.
    fn look_at(&mut self, bin: usize) {
        if self.near_bin == bin {
            return;
        }
        self.near_bin = bin;
        self.near.clear();
        for at in (0..self.bins.len()).step_by(LANES) {
            let equal = i32x4_eq(load_whole(&self.bins, at), i32x4_splat(bin as i32));
            let mut lanes = i32x4_bitmask(equal);
            while lanes != 0 {
                let id = at + lanes.trailing_zeros() as usize;
                lanes &= lanes - 1;
                let (key, weight) = (key(self.logits[id]), self.weights[id]);
                self.near.push(Near {
                    key,
                    id: id as u32,
                    weight,
                });
            }
        }
    }

    pub fn list(&mut self) -> usize {
        self.listed.clear();
        for id in 0..self.tokens as u32 {
            if self.is_left(id) {
                self.listed.push(id);
            }
        }
        let logits = &self.logits;
        self.listed
            .sort_unstable_by_key(|&id| (Reverse(key(logits[id as usize])), id));
        self.listed.len()
    }
}
