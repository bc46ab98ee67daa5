import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { metricsAccess } from './metrics-access.ts';

const token = 'a-token-of-more-than-16-characters';
const elsewhere = '10.1.2.3';

const fileOf = async (text: string): Promise<string> => {
  const folder = folderOfTest();
  const path = join(folder, 'token');
  await writeFile(path, text);
  return path;
};
const bearer = (text: string) => ({ address: elsewhere, authorization: `Bearer ${text}` });
const nobody = { address: elsewhere, authorization: '' };

it('metrics are for this machine alone where there is no token', async () => {
  const access = await metricsAccess({ metricsAccess: 'token' });
  for (const address of ['127.0.0.1', '127.9.0.1', '::1', '::ffff:127.0.0.1'])
    expect(await access({ address, authorization: '' })).toEqual({ status: 200 });
  for (const address of [elsewhere, '::ffff:10.0.0.1', 'fd00::1', '', '1127.0.0.1'])
    expect((await access({ address, authorization: `Bearer ${token}` })).status, address).toBe(401);
});

it('who shows the token gets them, and the one that is in the file now counts', async () => {
  const path = await fileOf(`${token}\n`);
  const access = await metricsAccess({ metricsAccess: 'token', metricsTokenFile: path });
  expect(await access(bearer(token))).toEqual({ status: 200 });
  for (const reader of [
    nobody,
    bearer(''),
    bearer(`${token}x`),
    { ...nobody, authorization: `Basic ${token}` },
  ])
    expect(await access(reader)).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
  await writeFile(path, `${token}-2`);
  expect((await access(bearer(token))).status).toBe(401);
  expect((await access(bearer(`${token}-2`))).status).toBe(200);
  await rm(path);
  expect((await access(bearer(`${token}-2`))).status).toBe(503);
});

it.each(['', 'short', 'two words of more than 16 characters'])(
  'a file with %j is refused at the start',
  async (text) => {
    const path = await fileOf(text);
    expect(await codeOf(() => metricsAccess({ metricsAccess: 'token', metricsTokenFile: path }))).toBe(
      'CONFIG_INVALID',
    );
  },
);

it('everybody gets them where that was asked for', async () => {
  const access = await metricsAccess({ metricsAccess: 'everybody' });
  expect((await access(nobody)).status).toBe(200);
});
