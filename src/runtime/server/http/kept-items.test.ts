import { expect, it } from 'vitest';
import { KeptItems } from './kept-items.ts';

const message = (id: string, text: string) => ({
  id,
  type: 'message',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [], logprobs: [{ token: 'x' }] }],
});

it('an item is what can be sent in its place: probabilities are not kept', () => {
  const kept = new KeptItems();
  kept.keep({ namespace: 'a' }, [message('msg_1', 'x')]);
  expect(kept.get({ namespace: 'a' }, 'msg_1')).toEqual({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    content: [{ type: 'output_text', text: 'x' }],
  });
});

it('a namespace that fills the memory loses its own oldest items, and nobody else any', () => {
  const kept = new KeptItems();
  const [quiet, loud] = [{ namespace: 'quiet' }, { namespace: 'loud', caller: 'loud/app' }];
  kept.keep(quiet, [message('msg_1', 'x')]);
  const text = 'x'.repeat(1 << 20);
  for (let id = 0; id < 10; id++) kept.keep({ ...loud, user: String(id) }, [message(`msg_${id}`, text)]);
  const isKept = (id: number) => kept.get({ ...loud, user: String(id) }, `msg_${id}`) !== undefined;
  expect(Array.from({ length: 10 }, (_, id) => isKept(id))).toEqual([
    ...Array(3).fill(false),
    ...Array(7).fill(true),
  ]);
  expect(kept.get(quiet, 'msg_1')).toBeDefined();
});

it('an item that is larger than the memory is not kept, and costs others none', () => {
  const kept = new KeptItems();
  kept.keep({ namespace: 'quiet' }, [message('msg_1', 'x')]);
  kept.keep({ namespace: 'loud' }, [message('msg_2', 'x'.repeat(9 << 20))]);
  expect(kept.get({ namespace: 'loud' }, 'msg_2')).toBeUndefined();
  expect(kept.get({ namespace: 'quiet' }, 'msg_1')).toBeDefined();
});
