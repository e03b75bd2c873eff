// What went wrong with the connection, and what to do about it.

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Connection } from '../tokens';

interface INoticeProps {
  readonly connection: Connection;
  readonly trans: TranslationBundle;
  readonly onRetry: () => void;
}

interface IAdvice {
  readonly title: string;
  readonly text: string;
  readonly code?: string;
}

/** Shown while the last question to the server didn't end well. */
export function Notice(props: INoticeProps): React.JSX.Element | null {
  const { connection, trans, onRetry } = props;
  const advice = adviceFor(connection, trans);
  if (advice === null) {
    return null;
  }
  return (
    <section className="norman-Notice" role="alert">
      <h3 className="norman-Notice-title">{advice.title}</h3>
      <p>{advice.text}</p>
      {advice.code === undefined ? null : (
        <pre className="norman-Code">{advice.code}</pre>
      )}
      <button
        type="button"
        className="jp-Button jp-mod-styled norman-Button"
        onClick={onRetry}
      >
        {trans.__('Try now')}
      </button>
    </section>
  );
}

function adviceFor(
  connection: Connection,
  trans: TranslationBundle
): IAdvice | null {
  switch (connection.kind) {
    case 'loading':
    case 'online':
      return null;
    case 'absent':
      return {
        title: trans.__('Norman is not running here'),
        text: trans.__(
          'This Jupyter server has no Norman server extension. Enable it in a terminal, then restart the Jupyter server:'
        ),
        code: 'jupyter server extension enable norman_server'
      };
    case 'unreachable':
      return {
        title: trans.__('The server does not answer'),
        text: trans.__(
          'Trying again by itself. If this lasts, see whether the Jupyter server still runs.'
        )
      };
    case 'refused':
      return {
        title: trans.__('The server refuses this session'),
        text: trans.__(
          'It does not accept this page’s sign-in any more. Sign in again, or reload the page.'
        )
      };
    case 'failed':
      return {
        title: trans.__('The server reports an error'),
        text:
          connection.requestId === null
            ? connection.message
            : trans.__(
                '%1 The log of the Jupyter server has more under request %2.',
                connection.message,
                connection.requestId
              )
      };
  }
}
