//! Four logits at once.

use core::arch::wasm32::*;

/// The logit of a token that may not come. It is finite: sums and differences stay numbers.
pub const FORBIDDEN: f32 = f32::MIN;

/// 2 to the power of -x of x from -1/2 to 1/2, by Taylor: -ln(2)^n / n!, the last term first.
const TERMS: [f32; 7] = [
    -1.525_273_4e-5,
    1.540_353e-4,
    -1.333_355_8e-3,
    9.618_129e-3,
    -5.550_411e-2,
    2.402_265e-1,
    -6.931_472e-1,
];

/// Beyond it a weight counts for nothing.
const LARGEST: f32 = 126.0;

/// 2 to the power of -`x`, which is not negative: to 3e-7 of it. NaN stays NaN.
#[inline(always)]
pub fn halved(x: v128) -> v128 {
    let whole = f32x4_nearest(x);
    let rest = f32x4_sub(x, whole);
    let mut power = f32x4_splat(TERMS[0]);
    for term in &TERMS[1..] {
        power = f32x4_add(f32x4_mul(power, rest), f32x4_splat(*term));
    }
    power = f32x4_add(f32x4_mul(power, rest), f32x4_splat(1.0));
    let exponent = i32x4_sub(i32x4_splat(127), i32x4_trunc_sat_f32x4(whole));
    let value = f32x4_mul(power, i32x4_shl(exponent, 23));
    v128_andnot(value, f32x4_gt(x, f32x4_splat(LARGEST)))
}

/// All ones in the lanes of tokens that may come, of the four from `at` on.
#[inline(always)]
pub fn allowed(mask: &[u32], at: usize) -> v128 {
    let bits = i32x4(1, 2, 4, 8);
    let four = i32x4_splat((mask[at / 32] >> (at % 32)) as i32);
    i32x4_eq(v128_and(four, bits), bits)
}

#[inline(always)]
pub fn largest_of(four: v128) -> f32 {
    let two = f32x4_pmax(four, i32x4_shuffle::<2, 3, 0, 1>(four, four));
    f32x4_extract_lane::<0>(two).max(f32x4_extract_lane::<1>(two))
}

#[inline(always)]
pub fn load(from: &[f32], at: usize) -> v128 {
    let four = &from[at..at + 4];
    unsafe { v128_load(four.as_ptr().cast()) }
}

#[inline(always)]
pub fn load_whole(from: &[i32], at: usize) -> v128 {
    let four = &from[at..at + 4];
    unsafe { v128_load(four.as_ptr().cast()) }
}

#[inline(always)]
pub fn store(into: &mut [f32], at: usize, value: v128) {
    let four = &mut into[at..at + 4];
    unsafe { v128_store(four.as_mut_ptr().cast(), value) }
}

#[inline(always)]
pub fn store_whole(into: &mut [i32], at: usize, value: v128) {
    let four = &mut into[at..at + 4];
    unsafe { v128_store(four.as_mut_ptr().cast(), value) }
}
