import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { callersWith, sha256 } from '../../callers/policies.fixture.ts';
import { startFakeHttp } from '../testing/http-app.ts';

const start = (overrides: Parameters<typeof startFakeHttp>[0] = {}) => {
  const node = startFakeHttp(overrides);
  const told: string[] = [];
  const { admin } = node.parts;
  admin.lora = {
    load: async (key, path) => void told.push(`load ${key} ${path}`),
    unload: async (key, _, { evenPinned }) => void told.push(`unload ${key} ${evenPinned}`),
  };
  const load = (body: object, init: RequestInit = {}) => node.post('/v1/load_lora_adapter', body, init);
  const unload = (body: object, init: RequestInit = {}) => node.post('/v1/unload_lora_adapter', body, init);
  return { ...node, told, load, unload };
};

const sql = { lora_name: 'sql-v2', lora_path: '/models/sql-v2' };

describe("vLLM's calls for LoRA adapters", () => {
  it('load and unload by name, and answer as vLLM does', async () => {
    const { told, load, unload } = start();
    const loaded = await load({ ...sql, load_inplace: false });
    expect([loaded.status, await loaded.text()]).toEqual([
      200,
      "Success: LoRA adapter 'sql-v2' added successfully.",
    ]);
    const unloaded = await unload({ lora_name: 'team-a/sql-v2', lora_int_id: 1 });
    expect([unloaded.status, await unloaded.text()]).toEqual([
      200,
      "Success: LoRA adapter 'team-a/sql-v2' removed successfully.",
    ]);
    expect(told).toEqual(['load default/sql-v2 /models/sql-v2', 'unload team-a/sql-v2 false']);
  });

  it.each<[string, object, number, string]>([
    ['in place', { ...sql, load_inplace: true }, 400, 'request_unsupported'],
    ['without a path', { lora_name: 'x' }, 400, 'request_invalid'],
    ['by a name that none can have', { ...sql, lora_name: 'SQL_v2' }, 400, 'request_invalid'],
    ['by the name of the base model', { ...sql, lora_name: 'tiny' }, 503, 'verb_refused'],
    ['by the name of a rollout', { ...sql, lora_name: 'sql' }, 503, 'verb_refused'],
  ])('%s nothing is loaded', async (_, body, status, code) => {
    const { told, load } = start();
    const response = await load(body);
    expect(response.status).toBe(status);
    expect(await response.json()).toHaveProperty('error.code', code);
    expect(told).toEqual([]);
  });

  it('what is wrong with the adapter is told as every other failure', async () => {
    const { parts, load } = start();
    parts.admin.lora = {
      load: () => Promise.reject(new AdaptletError('ARTIFACT_NOT_FOUND', 'path x does not exist')),
      unload: () => Promise.reject(new AdaptletError('MODEL_NOT_FOUND', 'there is none')),
    };
    const response = await load(sql);
    expect(response.status).toBe(404);
    expect(await response.json()).toHaveProperty('error.code', 'artifact_not_found');
  });

  it('do nothing where they were not turned on, and say how', async () => {
    const { parts, load } = start();
    delete parts.admin.lora;
    const response = await load(sql);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      error: { code: 'verb_refused', message: expect.stringContaining('--lora-loading true') },
    });
  });

  it('need the right Lifecycle in the namespace of the name', async () => {
    const apiKeys = [
      { name: 'app', sha256: sha256('adk_app') },
      { name: 'ops', sha256: sha256('adk_ops'), rights: ['Lifecycle' as const] },
    ];
    const { identify } = callersWith({ 'team-a': { apiKeys } });
    const { told, load, unload } = start({ identify });
    const as = (key: string): RequestInit => ({ headers: { authorization: `Bearer ${key}` } });
    expect((await load(sql, as('adk_app'))).status).toBe(403);
    expect((await load({ ...sql, lora_name: 'team-b/x' }, as('adk_ops'))).status).toBe(403);
    expect((await load(sql)).status).toBe(401);
    expect(told).toEqual([]);
    expect((await load(sql, as('adk_ops'))).status).toBe(200);
    expect((await unload({ lora_name: 'sql-v2' }, as('adk_ops'))).status).toBe(200);
    expect(told).toEqual(['load team-a/sql-v2 /models/sql-v2', 'unload team-a/sql-v2 true']);
  });
});
