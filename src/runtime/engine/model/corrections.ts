import type { NormalizerConfig, PreTokenizerConfig, TokenizerFile } from './tokenizer-config.ts';

/**
 * Where @huggingface/tokenizers 0.2 gives other tokens than the tokenizers library of Rust, which models are trained
 * with, the tokenizer.json says the same in other words. test/fixtures/tokenizers holds what that library says.
 */

/**
 * Pieces of a text by a pattern that matches all of it. Inverted the package takes the matches as they are, which is
 * much faster than looking for what lies between them.
 */
const pieces = (pattern: string): PreTokenizerConfig => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Removed',
  invert: true,
});

/** Rust's `is_numeric`: numbers of all scripts and kinds. The package only knows the ten of ASCII. */
const digits = (individual: boolean): PreTokenizerConfig =>
  pieces(individual ? '\\P{N}+|\\p{N}' : '\\P{N}+|\\p{N}+');

/** GPT-2's pattern. In a Split `\s` is Unicode's white space; in ByteLevel it is JavaScript's, with U+FEFF, without U+0085. */
const gpt2 = pieces("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");

const byteLevel = (part: PreTokenizerConfig): PreTokenizerConfig => {
  // A space in front of everything must come before the split.
  if (part['use_regex'] === false || part['add_prefix_space'] !== false) return part;
  return { type: 'Sequence', pretokenizers: [gpt2, { ...part, use_regex: false }] };
};

const preTokenizer = (part: PreTokenizerConfig): PreTokenizerConfig => {
  if (part.type === 'Digits') return digits(part['individual_digits'] === true);
  if (part.type === 'ByteLevel') return byteLevel(part);
  return part.pretokenizers === undefined
    ? part
    : { ...part, pretokenizers: part.pretokenizers.map(preTokenizer) };
};

const replace = (pattern: object, content: string): NormalizerConfig => ({
  type: 'Replace',
  pattern,
  content,
});
const range = (first: number, last: number): string =>
  `${String.fromCodePoint(first)}-${String.fromCodePoint(last)}`;

/** Chinese characters as BERT defines them. The package sees UTF-16 units, and so none beyond the first plane. */
const chinese = [
  range(0x4e00, 0x9fff),
  range(0x3400, 0x4dbf),
  range(0x20000, 0x2a6df),
  range(0x2a700, 0x2b73f),
  range(0x2b740, 0x2b81f),
  range(0x2b920, 0x2ceaf),
  range(0xf900, 0xfaff),
  range(0x2f800, 0x2fa1f),
].join('');

/** In Rust's order: accents go before capitals. */
const bert = (part: NormalizerConfig): readonly NormalizerConfig[] => {
  const clean = [
    replace({ Regex: '[\\x{0}\\x{FFFD}]|(?![\\t\\n\\r])[\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}]' }, ''),
    replace({ Regex: '\\s' }, ' '),
  ];
  const accents = [{ type: 'NFD' }, replace({ Regex: '\\p{Mn}' }, '')];
  // Each character is lowered by itself: a word's last sigma is no case of its own.
  const lower = [replace({ String: 'Σ' }, 'σ'), { type: 'Lowercase' }];
  return [
    ...(part['clean_text'] === false ? [] : clean),
    ...(part['handle_chinese_chars'] === false ? [] : [replace({ Regex: `[${chinese}]` }, ' $& ')]),
    ...((part['strip_accents'] ?? part['lowercase']) === true ? accents : []),
    ...(part['lowercase'] === true ? lower : []),
  ];
};

const normalizer = (part: NormalizerConfig): NormalizerConfig => {
  if (part.type === 'BertNormalizer') return { type: 'Sequence', normalizers: bert(part) };
  return part.normalizers === undefined ? part : { ...part, normalizers: part.normalizers.map(normalizer) };
};

/** A tokenizer.json that gives Rust's tokens in the package. */
export const correctedFile = (file: TokenizerFile): TokenizerFile => ({
  ...file,
  normalizer: file.normalizer == null ? null : normalizer(file.normalizer),
  pre_tokenizer: file.pre_tokenizer == null ? null : preTokenizer(file.pre_tokenizer),
});
