import { describe, expect, it } from 'vitest';
import pins from './node.json' with { type: 'json' };

describe('Node in the image', () => {
  it('is of the version that runs the tests', () => {
    expect(`v${pins.version}`).toBe(process.version);
  });
});
