//! Chooses a token by the logits of one position: the likeliest, or a draw of what top-k, top-p and min-p leave.
//!
//! Tokens have an order: the larger logit first, of equals the lower id. Each filter keeps a beginning of it, which is never
//! written down: sums over ranges of logits say in which range it ends, and only the tokens of that one are looked at. A choice
//! costs a few passes over the vocabulary, whatever the logits are.

// All take what `make` gave, and nothing else.
#![allow(clippy::missing_safety_doc)]

mod choice;
mod lanes;
mod order;

use choice::{Choice, Filters};

/// Room for the logits of a vocabulary; it is kept until the instance ends.
#[no_mangle]
pub extern "C" fn make(tokens: usize) -> *mut Choice {
    Box::into_raw(Box::new(Choice::new(tokens)))
}

#[no_mangle]
pub unsafe extern "C" fn logits(choice: *mut Choice) -> *mut f32 {
    (*choice).logits.as_mut_ptr()
}

/// A bit for each token that may come: 32 of them a word.
#[no_mangle]
pub unsafe extern "C" fn mask(choice: *mut Choice) -> *mut u32 {
    (*choice).mask.as_mut_ptr()
}

/// The token of the largest logit, of equals the first; -1 where a logit is not finite. `masked`: of those that may come; the
/// logits of the others are made as low as can be.
#[no_mangle]
pub unsafe extern "C" fn likeliest(choice: *mut Choice, masked: bool) -> i32 {
    (*choice).likeliest(masked)
}

/// Draws a token of what the filters leave. `best`: the likeliest one; `top_k` 0: all; `share`, from 0 to below 1: where in the
/// order of what is left the draw falls.
#[no_mangle]
pub unsafe extern "C" fn draw(
    choice: *mut Choice,
    best: usize,
    temperature: f64,
    top_k: usize,
    top_p: f64,
    min_p: f64,
    share: f64,
) -> usize {
    (*choice).filter(
        best,
        Filters {
            temperature,
            top_k,
            top_p,
            min_p,
        },
    );
    (*choice).draw(share)
}

/// Lists the tokens that the filters leave, the likeliest first: how many. They are in `listed`.
#[no_mangle]
pub unsafe extern "C" fn list(
    choice: *mut Choice,
    best: usize,
    temperature: f64,
    top_k: usize,
    top_p: f64,
    min_p: f64,
) -> usize {
    (*choice).filter(
        best,
        Filters {
            temperature,
            top_k,
            top_p,
            min_p,
        },
    );
    (*choice).list()
}

#[no_mangle]
pub unsafe extern "C" fn listed(choice: *mut Choice) -> *const u32 {
    (*choice).listed.as_ptr()
}

/// What all tokens weigh together at temperature 1, where the token `best` weighs 1.
#[no_mangle]
pub unsafe extern "C" fn mass(choice: *mut Choice, best: usize) -> f64 {
    (*choice).weigh_all(best)
}
