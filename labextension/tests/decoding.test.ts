import { describe, expect, it } from 'vitest';

import {
  decodeError,
  decodeModelPage,
  decodeStatus,
  DecodingError
} from '../src/decoding';
import { aModel, aStatus } from './answers';

describe('decodeStatus', () => {
  it('keeps what it knows and passes over what it does not', () => {
    const status = aStatus();
    expect(decodeStatus({ ...status, mood: 'fine' }, '')).toEqual(status);
  });

  it('takes a status without optional parts', () => {
    const status = {
      server_id: 's',
      version: '0.1.0',
      protocol: 1,
      model_count: 0,
      executor: { state: 'starting' }
    };
    expect(decodeStatus(status, '')).toEqual(status);
  });

  it.each([
    [{ version: 3 }, 'version is not text.'],
    [{ model_count: '3' }, 'model_count is not a number.'],
    [{ executor: null }, 'executor is not an object.'],
    [{ executor: [] }, 'executor is not an object.'],
    [
      { executor: { state: 'asleep' } },
      'executor.state is not one of starting, ready, restarting, stopped.'
    ],
    [
      { executor: { state: 'ready', deployments: {} } },
      'executor.deployments is not a list.'
    ],
    [
      { executor: { state: 'ready', deployments: [{ reference: 1 }] } },
      'executor.deployments[0].reference is not text.'
    ]
  ])('refuses %j', (changes, message) => {
    expect(() => decodeStatus({ ...aStatus(), ...changes }, '')).toThrow(
      new DecodingError(...splitMessage(message))
    );
  });

  it.each([null, undefined, 'text', 7, [], true])('refuses %j', value => {
    expect(() => decodeStatus(value, '')).toThrow(
      'The answer is not an object.'
    );
  });
});

describe('decodeModelPage', () => {
  it('takes a page with a cursor', () => {
    const page = { items: [aModel()], next_cursor: 'digits' };
    expect(decodeModelPage(page, '')).toEqual(page);
  });

  it('takes a model without an active version', () => {
    const page = {
      items: [aModel({ active: null, state: 'failed' })],
      next_cursor: null
    };
    expect(decodeModelPage(page, '').items[0].active).toBeNull();
  });

  it('names the place of a wrong item', () => {
    const page = { items: [aModel(), { ...aModel(), tags: [1] }] };
    expect(() => decodeModelPage(page, '')).toThrow(
      'items[1].tags[0] is not text.'
    );
  });

  it('is not fooled by keys of the prototype', () => {
    const body: unknown = JSON.parse('{"__proto__": {"items": []}}');
    expect(() => decodeModelPage(body, '')).toThrow('items is not a list.');
  });
});

describe('decodeError', () => {
  it('takes an error with its facts', () => {
    const error = {
      code: 'model_not_found',
      message: 'There is no model x.',
      request_id: 'r-1',
      details: { name: 'x' }
    };
    expect(decodeError(error, '')).toEqual(error);
  });

  it('refuses an error of someone else', () => {
    expect(() =>
      decodeError({ message: 'Forbidden', reason: null }, '')
    ).toThrow('code is not text.');
  });
});

function splitMessage(message: string): [string, string] {
  const [place, expected] = message.split(' is not ');
  return [place, expected.replace(/\.$/, '')];
}
