//! Which tokens may come next, by llguidance, for WebAssembly.
//!
//! An instance holds one vocabulary and one grammar. Its memory is all that it is: a copy of it, taken between two calls, goes on
//! in another instance. What fails traps or leaves a message; the host throws an instance away that trapped.

use std::cell::RefCell;
use std::sync::Arc;

use llguidance::api::{ParserLimits, StopReason, TopLevelGrammar};
use llguidance::toktrie::{InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{json, Value};

/// A space, or a new line and what it is indented by: a model that writes nothing else comes to an end.
const WHITESPACE: &str = r"[\x20\x09]{1,4}|\x0D?\x0A[\x20\x09]{0,40}";

/// Without `u`: `\u0061` would be a name of its own beside `a`, and the same one to who reads it.
const ESCAPES: &str = "nrbtf\\\"";

/// What most tokens of texts are: their masks are computed once, for every text that has room for as many characters. Few tokens
/// have more. More such sets are faster, and each is a vocabulary of its own.
const TEXT: &str = r#"[^"\\\x00-\x1F\x7F]{1,16}"#;

/// Half a second of work at most to build, some milliseconds for a mask; a state takes 1 to 2 kB.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2_000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    max_lexer_states: 20_000,
    max_grammar_size: 200_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};

#[link(wasm_import_module = "adaptlet")]
extern "C" {
    /// Tokens of a text in UTF-8 as the model was trained, written to `ids`, which has room for one for each byte: how many.
    fn tokenize(text: *const u8, bytes: usize, ids: *mut u32) -> usize;
}

struct Tokenizer {
    trie: TokTrie,
}

impl TokenizerEnv for Tokenizer {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    /// Where the host's tokens are not this text, byte for byte, the longest ones that fit.
    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        let mut ids = vec![0; text.len()];
        let count = unsafe { tokenize(text.as_ptr(), text.len(), ids.as_mut_ptr()) };
        ids.truncate(count);
        let known = ids.iter().all(|&id| (id as usize) < self.trie.vocab_size());
        if known && self.trie.decode_raw(&ids) == text {
            ids
        } else {
            self.trie.greedy_tokenize(text)
        }
    }
}

#[derive(Default)]
struct State {
    input: Vec<u8>,
    factory: Option<ParserFactory>,
    grammar: Option<Matcher>,
    matchers: Vec<Option<Matcher>>,
    mask: Option<SimpleVob>,
    forced: Vec<TokenId>,
    message: String,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::new(State::default());
}

type Outcome<T> = Result<T, String>;

fn with<T>(failed: T, work: impl FnOnce(&mut State) -> Outcome<T>) -> T {
    STATE.with_borrow_mut(|state| {
        work(state).unwrap_or_else(|message| {
            state.message = message;
            failed
        })
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn matcher(state: &mut State, handle: usize) -> Outcome<&mut Matcher> {
    state.matchers.get_mut(handle).and_then(Option::as_mut).ok_or_else(|| "no such matcher".to_string())
}

/// Room for what `open` or `compile` is to read.
#[no_mangle]
pub extern "C" fn input(bytes: usize) -> *mut u8 {
    STATE.with_borrow_mut(|state| {
        state.input = vec![0; bytes];
        state.input.as_mut_ptr()
    })
}

/// Takes the vocabulary: the number of its tokens and of its end tokens, the length of each, the end tokens, all u32, and then the
/// bytes of all tokens. Special tokens begin with 0xff; those without bytes never come. 1 when it did.
#[no_mangle]
pub extern "C" fn open() -> u32 {
    with(0, |state| {
        let input = std::mem::take(&mut state.input);
        let number = |place: usize| -> Outcome<u32> {
            let bytes = input.get(4 * place..4 * place + 4).ok_or("the vocabulary is cut")?;
            Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let (count, ends) = (number(0)? as usize, number(1)? as usize);
        let mut at = 4 * (2 + count + ends);
        let mut words = Vec::with_capacity(count);
        for place in 0..count {
            let next = at + number(2 + place)? as usize;
            words.push(input.get(at..next).ok_or("the vocabulary is cut")?.to_vec());
            at = next;
        }
        let ends = (0..ends).map(|place| number(2 + count + place)).collect::<Outcome<Vec<_>>>()?;
        let first = *ends.first().ok_or("the model has no end token")?;
        let trie = TokTrie::from(&TokRxInfo::new(count as u32, first), &words).with_eos_tokens(&ends);
        let environment: TokEnv = Arc::new(Tokenizer { trie });
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &[TEXT.to_string()])
            .map_err(text)?;
        *factory.quiet().limits_mut() = LIMITS;
        state.factory = Some(factory);
        Ok(1)
    })
}

fn json_grammar(source: &str) -> Outcome<TopLevelGrammar> {
    let mut schema = match serde_json::from_str(source).map_err(text)? {
        Value::Bool(true) => json!({}),
        other => other,
    };
    if let Some(keywords) = schema.as_object_mut() {
        let options = json!({ "whitespace_pattern": WHITESPACE, "json_allowed_escapes": ESCAPES });
        keywords.insert("x-guidance".to_string(), options);
    }
    Ok(TopLevelGrammar::from_json_schema(schema))
}

/// Takes a JSON schema (0), a regular expression (1) or a grammar in Lark (2). 1 when it did.
#[no_mangle]
pub extern "C" fn compile(kind: u32) -> u32 {
    with(0, |state| {
        let input = std::mem::take(&mut state.input);
        let source = std::str::from_utf8(&input).map_err(text)?;
        let grammar = match kind {
            0 => json_grammar(source)?,
            1 => TopLevelGrammar::from_regex(source),
            _ => TopLevelGrammar::from_lark(source.to_string()),
        };
        let factory = state.factory.as_ref().ok_or("no vocabulary")?;
        let grammar = Matcher::new(factory.create_parser(grammar));
        if let Some(error) = grammar.get_error() {
            return Err(error);
        }
        // One that allows nothing fails here; and what the first mask takes is kept.
        grammar.clone().compute_mask_or_eos().map_err(text)?;
        state.grammar = Some(grammar);
        Ok(1)
    })
}

/// A matcher at the beginning of the grammar.
#[no_mangle]
pub extern "C" fn begin() -> i32 {
    with(-1, |state| {
        let matcher = state.grammar.clone().ok_or("no grammar")?;
        let free = state.matchers.iter().position(Option::is_none);
        let handle = free.unwrap_or(state.matchers.len());
        match free {
            Some(place) => state.matchers[place] = Some(matcher),
            None => state.matchers.push(Some(matcher)),
        }
        Ok(handle as i32)
    })
}

#[no_mangle]
pub extern "C" fn end(handle: usize) {
    with((), |state| {
        if let Some(place) = state.matchers.get_mut(handle) {
            *place = None;
        }
        Ok(())
    })
}

/// The tokens that may come next, a bit for each; null when that cannot be said. Valid until the next call.
#[no_mangle]
pub extern "C" fn mask(handle: usize) -> *const u32 {
    with(std::ptr::null(), |state| {
        let mask = matcher(state, handle)?.compute_mask_or_eos().map_err(text)?;
        Ok(state.mask.insert(mask).as_ptr())
    })
}

/// Words of the last mask.
#[no_mangle]
pub extern "C" fn mask_words() -> usize {
    STATE.with_borrow(|state| state.mask.as_ref().map_or(0, |mask| mask.as_slice().len()))
}

/// A token came, and with it what can only follow, if that is `least` tokens or more, unless `least` is 0: 1 when nothing more may come, 0 when more may, -1 when it was not
/// allowed.
#[no_mangle]
pub extern "C" fn take(handle: usize, token: u32, least: usize) -> i32 {
    with(-1, |state| {
        let own = matcher(state, handle)?;
        own.consume_token(token).map_err(text)?;
        let mut forced = if least == 0 || own.is_stopped() { Vec::new() } else { own.compute_ff_tokens() };
        if forced.len() < least {
            forced.clear();
        }
        own.consume_tokens(&forced).map_err(text)?;
        if let Some(error) = own.get_error() {
            return Err(error);
        }
        let over = match own.stop_reason() {
            StopReason::NotStopped => 0,
            StopReason::EndOfSentence | StopReason::NoExtension | StopReason::NoExtensionBias => 1,
            reason => return Err(format!("{reason}")),
        };
        state.forced = forced;
        Ok(over)
    })
}

/// What the last `take` forced.
#[no_mangle]
pub extern "C" fn forced() -> *const u32 {
    STATE.with_borrow(|state| state.forced.as_ptr())
}

#[no_mangle]
pub extern "C" fn forced_count() -> usize {
    STATE.with_borrow(|state| state.forced.len())
}

/// Why the last call failed, in UTF-8.
#[no_mangle]
pub extern "C" fn message() -> *const u8 {
    STATE.with_borrow(|state| state.message.as_ptr())
}

#[no_mangle]
pub extern "C" fn message_bytes() -> usize {
    STATE.with_borrow(|state| state.message.len())
}
