# comment
@a @b #x
Feature: F
  about it

  Background:
    Given x

  @c
  Scenario Outline: s <a>
    descr
    When y <a>
      """json
      { "a": "\"\"\"" }

        z
      """
    And t
      | a \| | \\ | \n |
      |   | b | c |
    * star

    @d
    Examples: e
      | a |
      | 1 |

  Rule: r
    Background:
      Given q
    Example: last
      Then w
      ```
      \`\`\`
      ```
