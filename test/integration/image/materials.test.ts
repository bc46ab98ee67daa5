import { describe, expect, it } from 'vitest';
import { debianPackages } from '../../../image/materials/debian.ts';
import { locked, npmPackage } from '../../../image/materials/npm.ts';

describe('what an image is made of', () => {
  it('is refused when npm has something else than was expected', async () => {
    const name = '@koromix/koffi-linux-arm64';
    const other = `sha512-${Buffer.alloc(64).toString('base64')}`;
    await expect(npmPackage(name, locked(name).version, other)).rejects.toThrow(`expected ${other}`);
  });

  it('names the package that Debian does not have, and what a build needs', async () => {
    await expect(debianPackages(['no-such-package'], 'arm64')).rejects.toThrow(
      /no-such-package:arm64.*Containerfile/s,
    );
  });
});
