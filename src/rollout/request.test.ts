import { describe, expect, it } from 'vitest';
import { parseRequest, requestText } from './request.ts';

describe('a request by annotation', () => {
  it('is a verb and an id', () => {
    expect(parseRequest('promote@6f1c')).toEqual({ verb: 'promote', id: '6f1c' });
    expect(requestText({ verb: 'promote', id: '6f1c' })).toBe('promote@6f1c');
  });

  it('is nothing when it has another form, or is longer than the status can hold', () => {
    for (const odd of ['', 'promote', '@1', 'promote@', 'a@b@c', `promote@${'1'.repeat(300)}`]) {
      expect(parseRequest(odd)).toBeUndefined();
    }
  });
});
