import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { classifierSchema, type Keywords } from '../../../src/api/classifier.ts';

export type Labelled = { readonly text: string; readonly label: string };

/** What classifiers are given: the sentences that the adapter of the intent set was trained with, each filled a few times. */
const training: Readonly<Record<string, readonly string[]>> = {
  weather: [
    'what is the weather in {city}',
    'will it rain {day}',
    'how cold is it in {city} {day}',
    'do I need an umbrella {day}',
    'is it sunny in {city}',
    'forecast for {city} {day}',
  ],
  alarm: [
    'wake me up at {hour}',
    'set an alarm for {hour} {day}',
    'remind me {day} at {hour}',
    'cancel my {hour} alarm',
    'I need to get up at {hour} {day}',
    'snooze until {hour}',
  ],
  music: [
    'play some {genre}',
    'put on a {genre} playlist',
    'next {genre} song please',
    'turn up the {genre}',
    'I want to hear {genre}',
    'stop the {genre} track',
  ],
  banking: [
    'transfer {hour} dollars to {name}',
    'what is my balance',
    'pay {name} {hour} euros {day}',
    'show my last {hour} transactions',
    'how much money did I send to {name}',
    'block my credit card',
  ],
  travel: [
    'book a flight to {city} {day}',
    'find a hotel in {city}',
    'when does the train to {city} leave',
    'cheap tickets from {city} for {day}',
    'reserve a room for {hour} nights in {city}',
    'is there a bus to {city} {day}',
  ],
};

/** The same meanings in other words; no sentence shares its form with one above. */
const rephrased: Readonly<Record<string, readonly string[]>> = {
  weather: [
    'should I take a coat along when I go out {day}',
    'could there be snow around {city} {day}',
    'tell me about the temperature outside',
    'are we getting thunder {day}',
    'does {city} have blue sky right now',
    'how windy is it going to be',
    'is it humid over in {city}',
    'what will the sky look like {day}',
  ],
  alarm: [
    'do not let me sleep past {hour}',
    'I have to be out of bed by {hour}',
    'ring at {hour} sharp {day}',
    'give me ten more minutes before the bell',
    'get rid of the reminder for {hour}',
    'nudge me {day} so I do not forget the meeting',
    'start a countdown of {hour} minutes',
    'beep when {hour} minutes are over',
  ],
  music: [
    'I am in the mood for {genre}',
    'which band recorded this',
    'make it louder, I love this {genre}',
    'skip this one, it is boring',
    'repeat the album from the start',
    'something by a {genre} artist would be nice',
    'pause the sound for a moment',
    'find the lyrics of the tune that is on',
  ],
  banking: [
    'my wallet was stolen, freeze everything on my account',
    'has {name} paid me back yet',
    'what did I spend at the supermarket',
    'I owe {name} {hour} euros, settle it',
    'how much is left in my savings',
    'what interest do I get on the deposit',
    'raise the limit for withdrawals',
    'list the charges of the past month',
  ],
  travel: [
    'I would like to visit {city} {day}',
    'where can I sleep near the old town of {city}',
    'which airline goes to {city}',
    'get me on the fast connection to {city}',
    'what gate do we board at',
    'rent a car for {hour} days',
    'how far is the airport from downtown {city}',
    'we need seats for the ferry {day}',
  ],
};

const slots: Readonly<Record<string, readonly string[]>> = {
  city: ['paris', 'tokyo', 'rome', 'oslo', 'lima', 'cairo'],
  day: ['today', 'tomorrow', 'on monday', 'tonight', 'this weekend'],
  hour: ['5', '7', '9', '10', '20', '30'],
  genre: ['jazz', 'rock', 'techno', 'blues', 'folk'],
  name: ['anna', 'bob', 'carlos', 'emil'],
};

/** Each sentence with its gaps filled, `times` times where it has any: the n-th time with the n-th values. */
const filled = (
  sentences: Readonly<Record<string, readonly string[]>>,
  times: number,
): readonly Labelled[] => {
  const all = Object.entries(sentences).flatMap(([label, forms]) =>
    forms.flatMap((form, at) =>
      Array.from({ length: times }, (_, turn) => {
        const text = form.replaceAll(/\{(\w+)\}/g, (_match, slot: string) => {
          const values = slots[slot] ?? [];
          return values[(turn * 2 + at) % values.length] ?? '';
        });
        return { text, label };
      }),
    ),
  );
  return [...new Map(all.map((row) => [row.text, row])).values()];
};

export const trainingTexts = (): readonly Labelled[] => filled(training, 3);

export const paraphrases = (): readonly Labelled[] => filled(rephrased, 3);

/** Rows of the intent set of MiniLM; cities, days, names and genres of it are in no training text. */
export const intentTexts = (folder: string): readonly Labelled[] =>
  readFileSync(join(folder, 'intent.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Labelled);

/** What a person would write who has read the training sentences. */
const terms: Readonly<Record<string, readonly string[]>> = {
  weather: [
    'weather',
    'rain*',
    'cold',
    'hot',
    'umbrella',
    'sunny',
    'forecast',
    'storm*',
    'snow*',
    'wind*',
    'temperature',
  ],
  alarm: ['alarm*', 'wake', 'remind*', 'snooze', 'get up', 'timer', 'awake'],
  music: ['play', 'playlist', 'song*', 'hear', 'track', 'music', 'tune', 'album', 'shuffle', 'turn up'],
  banking: [
    'transfer',
    'balance',
    'pay',
    'transaction*',
    'money',
    'credit card',
    'euro*',
    'dollar*',
    'account',
    'salary',
    'bucks',
  ],
  travel: ['flight*', 'hotel*', 'train', 'ticket*', 'room', 'bus', 'trip', 'book', 'airport'],
};

export const keywordsOf = (): Keywords => {
  const labels = Object.entries(terms).map(([name, texts]) => ({
    name,
    terms: texts.map((text) => ({ text })),
  }));
  const parsed = classifierSchema.parse({ name: 'intent', keywords: { labels }, minConfidence: 0 });
  if (parsed.keywords === undefined) throw new Error('no keywords');
  return parsed.keywords;
};
