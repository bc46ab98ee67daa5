import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grantUri, peerUri, readGrantUri, uriOf } from './peer-names.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const grants = fc.record({ site: text, runtime: text, namespace: text, source: text });

describe('the names in certificates of peers', () => {
  it('say what was written into them, whatever it was', () => {
    fc.assert(
      fc.property(grants, (grant) => {
        expect(readGrantUri(grantUri(grant))).toEqual(grant);
        expect(uriOf(`URI:${grantUri(grant)}`)).toBe(grantUri(grant));
        expect(readGrantUri(peerUri(grant))).toBeUndefined();
      }),
    );
  });

  it('are read of nothing else', () => {
    const good = grantUri({ site: 'a', runtime: 'b/c', namespace: 'd', source: 'oci:e/f' });
    for (const bad of [
      `${good}:x`,
      `${good} `,
      good.replace('%2F', '/'),
      good.replace('%2F', '%2f'),
      `${good}%`,
      '',
    ])
      expect(readGrantUri(bad)).toBeUndefined();
    for (const names of [undefined, '', 'DNS:localhost', `DNS:a, URI:${good}`, `URI:${good}, URI:${good}`])
      expect(uriOf(names)).toBeUndefined();
  });
});
